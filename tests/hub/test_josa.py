"""Korean particles: expected forms written by a hand that speaks the sentence aloud."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.hub.josa import fit_particles


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("트럭을(를)", "트럭을"), ("차량 12가 3456이(가)", "차량 12가 3456이"), ("농가은(는)", "농가는"),
        ("340 kg을(를)", "340 kg을"), ("2.9 t이(가)", "2.9 t이"), ("30 m을(를)", "30 m를"), ("1.2 km은(는)", "1.2 km는"),
        ("12 %을(를)", "12 %를"), ("서울(으)로", "서울로"), ("제주(으)로", "제주로"), ("북부처리장으로(로)", "북부처리장으로"),
        ("“하역”을(를)", "“하역”을"), ("농장와(과)", "농장과"), ("농가과(와)", "농가와"), ("MD05을(를)", "MD05를"),
        ("T-1이(가)", "T-1이"), ("plan을(를)", "plan을"), ("truck을(를)", "truck를"), ("…을(를)", "…을(를)"),
        ("처리장(이)라면", "처리장이라면"), ("농가(이)라면", "농가라면"), ("값(를)", "값(를)"), ("을(를)", "을(를)"),
    ],
)  # fmt: skip
def test_the_particle_follows_the_sound(text: str, said: str) -> None:
    assert fit_particles(text) == said


@given(st.text(alphabet="가나을를이은는와과로으()t kgm12%") | st.text())
def test_any_text_can_be_fitted_and_is_then_settled(text: str) -> None:
    """Never raises; fitting what is fitted changes nothing more than once."""
    assert isinstance(fit_particles(fit_particles(text)), str)
