"""The authorisation matrix as a page: which role may ask what. Written into docs by a test, so that it cannot go stale."""

from madang.access.roles import PERMISSIONS, ROLES
from madang.api.route import LOGGED_IN, PUBLIC, Route


def may(role: str, route: Route) -> bool:
    """May this role ask the route? What of the answer it sees is policy's matter (`madang.access.policy`)."""
    if route.permission in (PUBLIC, LOGGED_IN):
        return True
    held = ROLES[role]
    return "*" in held or any(permission in held for permission in route.permission.split())


def render_matrix(routes: tuple[Route, ...]) -> str:
    """The page in Markdown."""
    roles = list(ROLES)
    lines = [
        "# Who may ask what",
        "",
        "Generated from the route table (`madang/api/routes.py`) and the roles (`madang/access/roles.py`); a test keeps it fresh.",
        "A role that may ask sees only what policy shows it: carriers, farms and plants see what names them.",
        "",
        "| Method | Path | Permission | Data | " + " | ".join(roles) + " |",
        "|---|---|---|---|" + "---|" * len(roles),
    ]
    for route in routes:
        permission = {PUBLIC: "(none)", LOGGED_IN: "(any log-in)"}.get(route.permission) or " or ".join(
            f"`{name}`" for name in route.permission.split()
        )
        marks = " | ".join("●" if may(role, route) else "" for role in roles)
        lines.append(f"| {route.method} | `{route.path}` | {permission} | {route.data_class} | {marks} |")
    lines += ["", "## Permissions", "", "| Permission | What it lets one do | Roles |", "|---|---|---|"]
    for name, meaning in PERMISSIONS.items():
        holders = ", ".join(role for role, held in ROLES.items() if name in held or "*" in held)
        lines.append(f"| `{name}` | {meaning} | {holders} |")
    return "\n".join(lines) + "\n"
