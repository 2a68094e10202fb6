// A stand-in of the API for work on the console while the server is being written. Not shipped, deleted with the first real server.
import http from 'node:http'
import { URL } from 'node:url'

const PORT = Number(process.env.PORT ?? 8787)
const SPEED = Number(process.env.SPEED ?? 20)
const START = Date.parse('2026-11-22T17:10:00Z')
const T0 = Date.now()
const now = () => START + (Date.now() - T0) * SPEED
const iso = (t) => new Date(t).toISOString()
let seed = 7
const rnd = () => ((seed = (seed * 1664525 + 1013904223) >>> 0) / 2 ** 32)
const C = [126.9, 36.62], KX = 1 / 89200, KY = 1 / 111000
const ll = (x, y) => [C[0] + x * KX, C[1] + y * KY]
const NX = 15, NY = 11, STEP = 900
const node = []
for (let j = 0; j < NY; j++) for (let i = 0; i < NX; i++) node.push([(i - 7) * STEP + (rnd() - 0.5) * 420, (j - 5) * STEP + (rnd() - 0.5) * 420])
const riverY = (x) => 600 * Math.sin(x / 2300) + 0.22 * x - 500
const adj = node.map(() => [])
const edges = []
for (let j = 0; j < NY; j++) for (let i = 0; i < NX; i++) {
  const a = j * NX + i
  for (const [di, dj] of [[1, 0], [0, 1]]) {
    const ni = i + di, nj = j + dj
    if (ni >= NX || nj >= NY) continue
    const b = nj * NX + ni
    const main = (dj === 0 && (j === 3 || j === 8)) || (di === 0 && (i === 4 || i === 10))
    if (!main && rnd() < 0.3) continue
    const crosses = (node[a][1] - riverY(node[a][0])) * (node[b][1] - riverY(node[b][0])) < 0
    if (crosses && !main) continue
    edges.push([a, b, main]); adj[a].push(b); adj[b].push(a)
  }
}
const route = (a, b) => {
  const prev = new Map([[a, -1]]); const q = [a]
  while (q.length) { const u = q.shift(); if (u === b) break; for (const v of adj[u]) if (!prev.has(v)) { prev.set(v, u); q.push(v) } }
  if (!prev.has(b)) return null
  const p = []; for (let u = b; u !== -1; u = prev.get(u)) p.push(node[u]); return p.reverse()
}
const nearest = (p) => { let k = 0, d = 1e12; node.forEach((n, i) => { const e = (n[0] - p[0]) ** 2 + (n[1] - p[1]) ** 2; if (e < d && adj[i].length) { d = e; k = i } }); return k }
const rect = (x, y, w, h, a) => { const c = Math.cos(a), s = Math.sin(a); const pts = [[-w, -h], [w, -h], [w, h], [-w, h], [-w, -h]].map(([u, v]) => ll(x + u * c / 2 - v * s / 2, y + u * s / 2 + v * c / 2)); return { type: 'Polygon', coordinates: [pts] } }
const fnames = ['한빛농장', '새벽농장', '금강양돈', '푸른들농장', '대성축산', '솔뫼농장', '덕산양돈', '보람농장', '해미축산', '광천농장']
const farms = fnames.map((name, k) => { const n = node[Math.floor(rnd() * node.length)]; const p = [n[0] + 150, n[1] + 130]; return { id: `urn:ngsi-ld:AgriFarm:F${k + 1}`, name, p, geo: rect(p[0], p[1], 150, 110, rnd()) } })
const parcels = Array.from({ length: 70 }, (_, k) => { const n = node[Math.floor(rnd() * node.length)]; const p = [n[0] + (rnd() - 0.5) * 640, n[1] + (rnd() - 0.5) * 640]; if (Math.abs(p[1] - riverY(p[0])) < 330) return null; return { id: `urn:ngsi-ld:AgriParcel:P${k + 1}`, name: `${['장곡', '홍동', '금마', '갈산'][k % 4]}리 ${100 + k}`, p, geo: rect(p[0], p[1], 180 + rnd() * 160, 120 + rnd() * 120, (k % 5) * 0.31), role: 'permitted' } }).filter(Boolean)
const plants = [[-3800, 2500, '홍성 공동자원화시설'], [4100, -2300, '갈산 가축분뇨처리장']].map(([x, y, name], k) => ({ id: `urn:ngsi-ld:ManureTreatmentPlant:T${k + 1}`, name, p: [x, y], geo: rect(x, y, 320, 240, 0.3) }))
const band = (w0, w1) => { const up = [], dn = []; for (let x = -7400; x <= 7400; x += 200) { up.push(ll(x, riverY(x) + w1)); dn.unshift(ll(x, riverY(x) + w0)) } return { type: 'Polygon', coordinates: [[...up, ...dn, up[0]]] } }
const fc = (features) => ({ type: 'FeatureCollection', features })
const feat = (id, geometry, properties) => ({ type: 'Feature', id, geometry, properties })
const sname = ['홍성읍', '갈산면', '금마면', '장곡면', '은하면']
const layers = [
  ['area', '행정구역', 'AdministrativeArea', 'area', 'boundary', fc([feat('urn:ngsi-ld:AdministrativeArea:A1', rect(0, 0, 14400, 10400, 0.02), { label: '홍성군' })])],
  ['settlement', '마을', 'Settlement', 'area', 'settlement', fc(sname.map((label, k) => { const n = node[[48, 100, 130, 25, 67][k]]; const pts = Array.from({ length: 13 }, (_, i) => { const r = 380 + 160 * Math.sin(i * 2.3 + k); return ll(n[0] + r * Math.cos(i * Math.PI / 6), n[1] + r * Math.sin(i * Math.PI / 6)) }); pts[12] = pts[0]; return feat(`urn:ngsi-ld:Settlement:S${k}`, { type: 'Polygon', coordinates: [pts] }, { label }) }))],
  ['water', '하천', 'WaterBody', 'area', 'water', fc([feat('urn:ngsi-ld:WaterBody:W1', band(-75, 75), { label: '금마천' })])],
  ['zone', '살포금지구역', 'NoSpreadZone', 'area', 'forbidden', fc([feat('urn:ngsi-ld:NoSpreadZone:Z1', band(75, 260), { label: '금마천 수변구역' }), feat('urn:ngsi-ld:NoSpreadZone:Z2', band(-260, -75), { label: '금마천 수변구역' })])],
  ['parcel', '살포지', 'AgriParcel', 'area', 'permitted', fc(parcels.map((p) => feat(p.id, p.geo, { label: p.name })))],
  ['road', '도로', 'RoadSegment', 'line', 'road', fc(edges.map(([a, b, m], k) => feat(`urn:ngsi-ld:RoadSegment:R${k}`, { type: 'LineString', coordinates: [ll(...node[a]), ll(...node[b])] }, { roadClass: m ? 'main' : 'local', label: m ? '국도 21호선' : '' })))],
  ['farm', '농장', 'AgriFarm', 'area', 'farm', fc(farms.map((f) => feat(f.id, f.geo, { label: f.name })))],
  ['plant', '처리시설', 'ManureTreatmentPlant', 'area', 'plant', fc(plants.map((f) => feat(f.id, f.geo, { label: f.name })))],
  ['truck', '차량', 'Vehicle', 'moving', 'truck', fc([])]
].map(([id, title, entity_type, style, role, data], order) => ({ id, title, entity_type, style, role, label: 'name', order, moving: style === 'moving', data }))
const N = Number(process.env.TRUCKS ?? 40)
const trucks = Array.from({ length: N }, (_, k) => {
  const cheat = k % 9 === 3
  let path = null, f, d
  for (let g = 0; g < 50 && !path; g++) {
    f = farms[Math.floor(rnd() * farms.length)]
    d = k % 4 === 1 ? plants[k % 2] : parcels[Math.floor(rnd() * parcels.length)]
    const e = cheat ? (() => { const x = (rnd() - 0.5) * 9000; return [x, riverY(x) + 150] })() : d.p
    const r = route(nearest(f.p), nearest(e)); if (r) path = [f.p, ...r, e]
  }
  let len = 0; const cum = [0]; for (let i = 1; i < path.length; i++) { len += Math.hypot(path[i][0] - path[i - 1][0], path[i][1] - path[i - 1][1]); cum.push(len) }
  const drive = len / (38 / 3.6) * 1000
  return { code: `T${String(k + 1).padStart(2, '0')}`, id: `urn:ngsi-ld:Vehicle:T${String(k + 1).padStart(2, '0')}`, plate: `충남 8${k % 10}${'가나다라마'[k % 5]} ${1000 + ((k * 7919) % 9000)}`, f, d, path, cum, len, cheat, drive, tare: 8000 + (k % 4) * 700, load: 4000 + (k % 5) * 1100, off: rnd() * 9e6, period: 2 * drive + 10 * 60e3 + 12 * 60e3 + 25 * 60e3 }
})
const noise = (t, k) => Math.sin(t / 9100 + k) * 0.5 + Math.sin(t / 23700 + k * 3) * 0.5
function at(tr, t) {
  t = Math.floor((t + tr.off) / 10e3) * 10e3 - tr.off
  const u = ((t + tr.off) % tr.period + tr.period) % tr.period
  let s = 0, dir = 1, speed = 0, w = tr.tare, pto = false, ign = true
  const L = 10 * 60e3, U = 12 * 60e3
  if (u < L) { w += tr.load * Math.min(1, u / (L * 0.8)); }
  else if (u < L + tr.drive) { s = (u - L) / tr.drive * tr.len; speed = 38 + 9 * noise(t, tr.load); w += tr.load }
  else if (u < L + tr.drive + U) { s = tr.len; const x = (u - L - tr.drive) / U; w += tr.load * (1 - Math.max(0, Math.min(1, (x - 0.15) / 0.7))); pto = x > 0.15 && x < 0.85; speed = pto && !tr.cheat ? 6 : 0 }
  else if (u < L + 2 * tr.drive + U) { s = tr.len * (1 - (u - L - tr.drive - U) / tr.drive); dir = -1; speed = 42 + 8 * noise(t, 5) }
  else { ign = false }
  s = Math.max(0, Math.min(tr.len, s))
  let i = 1; while (i < tr.cum.length - 1 && tr.cum[i] < s) i++
  const a = tr.path[i - 1], b = tr.path[i], r = (s - tr.cum[i - 1]) / Math.max(1, tr.cum[i] - tr.cum[i - 1])
  const p = [a[0] + (b[0] - a[0]) * r, a[1] + (b[1] - a[1]) * r]
  const heading = (Math.atan2((b[0] - a[0]) * dir, (b[1] - a[1]) * dir) * 180 / Math.PI + 360) % 360
  return { t, p: ll(p[0] + noise(t, 1) * 5, p[1] + noise(t, 2) * 5), heading, speed: Math.max(0, speed), w: Math.round((w * (1 + 0.012 * noise(t, tr.load))) / 10) * 10, pto, ign }
}
const incidents = []
const TITLE = { D1: ['Unloading outside any permitted place', '허가 장소 밖 하역'], D1r: ['Unloading by the river', '수변구역 하역'], D2: ['Unloaded at a place not on the manifest', '인계서에 없는 장소에 하역'], D4: ['Loading without an open manifest', '인계서 없이 상차'], D8: ['Loaded and unloaded amounts differ', '상차량과 하역량 불일치'] }
const ST = { open: ['Open', '미확인'], acknowledged: ['Acknowledged', '확인함'], acting: ['Acting', '조치 중'], resolved: ['Resolved', '종결'] }
let cur = 'en'
const L = (pair) => pair[cur === 'ko' ? 1 : 0]
trucks.forEach((tr, k) => {
  const count = tr.cheat ? 3 : k % 5 === 2 ? 1 : 0
  for (let c = 0; c < count; c++) {
    const base = START - c * tr.period
    const u = (((base + tr.off) % tr.period) + tr.period) % tr.period
    const marked = base - u + 10 * 60e3 + tr.drive + 12 * 60e3 * 0.5
    const rule = tr.cheat ? 'D1r' : ['D2', 'D4', 'D8', 'D1'][(k / 5 | 0) % 4]
    const a = at(tr, marked)
    incidents.push({ tr, rule, marked: marked > START ? marked - tr.period : marked, p: a.p, severity: { D1r: 'critical', D1: 'high', D4: 'high', D2: 'medium', D8: 'low' }[rule], state: ['open', 'acknowledged', 'resolved'][c] ?? 'open', unseen: c === 0, version: 1, trail: [] })
  }
})
incidents.sort((a, b) => a.marked - b.marked).forEach((x, k) => { x.number = `I-2026-${String(k + 1).padStart(6, '0')}`; x.id = `urn:ngsi-ld:Incident:${x.number}`; x.lane = x.state === 'resolved' ? 'log' : ['critical', 'high'].includes(x.severity) ? 'act' : 'look'; x.trail.push({ version: 1, action: 'open', action_title: ['Opened', '발생'], actor: 'system', at: x.marked + 90e3, from_state: '', to_state: 'open' }) })
const kg = (n) => `${(n / 1000).toFixed(1)} t`
const sum = (x) => ({ id: x.id, number: x.number, state: x.state, state_title: L(ST[x.state]), severity: x.severity, lane: x.lane, title: L(TITLE[x.rule]), sentence: cur === 'ko' ? `${x.tr.plate} 차량이 등록된 장소 밖(금마천에서 140 m)에서 ${kg(x.tr.load)}을 내렸습니다.` : `${x.tr.plate} unloaded ${kg(x.tr.load)} outside any permitted place, 140 m from the river.`, subject: x.tr.id, subject_label: x.tr.plate, lon: x.p[0], lat: x.p[1], marked_at: iso(x.marked), opened_at: iso(x.marked + 90e3), acknowledged_by: x.state === 'open' ? null : '김서연', assignee: null, rules: [x.rule.slice(0, 2)], findings: 1, withdrawn: false, version: x.version, unseen: x.unseen })
const actions = (x) => [
  { name: 'acknowledge', title: L(['Acknowledge', '확인']), consequence: L(['Stops the escalation; your name stands on it.', '상향 보고를 멈추고 담당자로 기록됩니다.']), permission: 'incident.act', allowed: x.state === 'open', reasons: x.state === 'open' ? [] : [L(['Already acknowledged.', '이미 확인했습니다.'])], arguments: [] },
  { name: 'assign', title: L(['Assign', '배정']), consequence: L(['The person is told at once.', '담당자에게 바로 알립니다.']), permission: 'incident.act', allowed: x.state !== 'resolved', reasons: x.state === 'resolved' ? [L(['It is resolved.', '이미 종결되었습니다.'])] : [], arguments: [{ name: 'assignee', kind: 'text', required: true, title: L(['Who', '담당자']), unit: '', choices: [] }] },
  { name: 'resolve', title: L(['Resolve', '종결']), consequence: L(['Leaves the queue; the cause goes into the figures.', '목록에서 빠지고 원인이 통계에 들어갑니다.']), permission: 'incident.act', allowed: x.state !== 'resolved', reasons: x.state === 'resolved' ? [L(['It is resolved.', '이미 종결되었습니다.'])] : [], arguments: [{ name: 'cause', kind: 'choice', required: true, title: L(['Cause', '원인']), unit: '', choices: [{ value: 'real', title: L(['Real', '실제']) }, { value: 'false', title: L(['False alarm', '오경보']) }, { value: 'device-fault', title: L(['Device fault', '기기 고장']) }] }, { name: 'note', kind: 'text', required: false, title: L(['Note', '메모']), unit: '', choices: [] }] },
  { name: 'reopen', title: L(['Reopen', '다시 열기']), consequence: L(['Back into the queue.', '다시 목록에 올립니다.']), permission: 'incident.act', allowed: x.state === 'resolved', reasons: x.state === 'resolved' ? [] : [L(['It is not resolved.', '종결된 건이 아닙니다.'])], arguments: [] }
]
const trail = (x) => x.trail.map((e) => ({ ...e, action_title: L(e.action_title), at: iso(e.at), on_behalf_of: null, note: e.note ?? '', changes: [] }))
const states = (x) => Object.keys(ST).map((s) => { const e = x.trail.find((y) => y.to_state === s); return { state: s, title: L(ST[s]), at: e ? iso(e.at) : null, by: e?.actor ?? null } })
const fix = (f) => { for (const w of f.why) for (const m of w.measures) { m.value_text = `${m.value.toLocaleString()} ${m.unit}`.trim(); m.limit_text = m.limit === null ? '' : `${m.limit} ${m.unit}` } return f }
const full = (x) => fix({ ...sum(x), why: [{ rule: x.rule.slice(0, 2), rule_title: L(TITLE[x.rule]), rule_version: '1', sentence: sum(x).sentence, measures: [{ code: 'drop', title: L(['Weight fell by', '중량 감소']), value: x.tr.load, limit: 300, relation: '>=', unit: 'kg', met: true }, { code: 'place', title: L(['Distance to nearest permitted place', '가장 가까운 허가 장소까지']), value: 412, limit: 30, relation: '>', unit: 'm', met: true }, { code: 'zone', title: L(['Inside a no-spread zone', '살포금지구역 안']), value: 'Z1', limit: null, relation: 'in', unit: '', met: true }, { code: 'speed', title: L(['Speed while falling', '감소 중 속도']), value: 0, limit: 12, relation: '<=', unit: 'km/h', met: true }], would_differ: [L(['Unloaded inside a registered parcel or plant (nearest: 장곡리 104, 412 m).', '등록된 살포지나 처리시설 안에서 내렸다면 (가장 가까운 곳: 장곡리 104, 412 m).']), L(['Weight loss below 300 kg.', '중량 감소가 300 kg 미만이었다면.'])], withdrawn: false, severity: x.severity, completed_at: iso(x.marked + 60e3), found_at: iso(x.marked + 60e3) }], evidence: [{ entity_id: x.tr.id, label: x.tr.plate, attributes: ['grossWeight', 'speed', 'ptoEngaged'], from: iso(x.marked - 300e3), to: iso(x.marked + 300e3) }], involved: [{ id: x.tr.id, type: 'Vehicle', label: x.tr.plate }, { id: x.tr.f.id, type: 'AgriFarm', label: x.tr.f.name }], trail: trail(x), actions: actions(x), deadlines: x.state === 'open' ? [{ name: 'escalate', title: L(['Escalates if nobody acknowledges', '확인하지 않으면 상향 보고']), due_at: iso(x.marked + 90e3 + 3600e3), action: 'escalate' }] : [], checklist: [{ id: 'a', title: L(['Look at the track and the weight curve', '궤적과 중량 곡선을 확인']), done: false }, { id: 'b', title: L(['Call the carrier', '운반업체에 전화']), done: false }, { id: 'c', title: L(['Send someone with a camera', '현장 확인 요청']), done: false }], states: states(x) })
const MST = [['DRAFT', 'Draft', '작성'], ['PRECHECKED', 'Number issued', '번호 발급'], ['STARTED', 'Started', '출발'], ['LOADED', 'Loaded', '상차'], ['IN_TRANSIT', 'In transit', '운반 중'], ['UNLOADED', 'Unloaded', '하역'], ['AWAITING_CONFIRMATION', 'Awaiting confirmation', '확인 대기'], ['CONFIRMED', 'Confirmed', '확인 완료']]
const manifests = Array.from({ length: Number(process.env.MANIFESTS ?? 10000) }, (_, k) => { const tr = trucks[k % N]; return { k, number: `M-2026-${String(k + 1).padStart(6, '0')}`, id: `urn:ngsi-ld:ManureManifest:M-2026-${String(k + 1).padStart(6, '0')}`, tr, st: k < 40 ? k % 8 : 7, amount: 3000 + (k * 37) % 6000, at: START - k * 600e3, version: 3 } })
const mrow = (m) => ({ id: m.id, number: { value: m.number, text: m.number }, state: { value: MST[m.st][0], text: L(MST[m.st].slice(1)) }, vehicle: { value: m.tr.id, text: m.tr.plate }, from: { value: m.tr.f.id, text: m.tr.f.name }, plannedAmount: { value: m.amount, text: m.amount.toLocaleString() }, plannedAt: { value: iso(m.at), text: iso(m.at) } })
const tables = () => tables0().map((x) => ({ ...x, states: x.is_record ? MST.map((q) => ({ value: q[0], title: L(q.slice(1)) })) : [], count: x.is_record ? manifests.length : N, permission: 'entity.read' }))
const tables0 = () => [
  { entity_type: 'Vehicle', title: L(['Trucks', '차량']), is_record: false, sort: 'vehiclePlateIdentifier', columns: [{ attribute: 'vehiclePlateIdentifier', title: L(['Plate', '번호판']), kind: 'text', unit: '', digits: 0 }, { attribute: 'grossWeight', title: L(['Gross weight', '총중량']), kind: 'number', unit: 'kg', digits: 0 }, { attribute: 'speed', title: L(['Speed', '속도']), kind: 'number', unit: 'km/h', digits: 0 }, { attribute: 'ptoEngaged', title: 'PTO', kind: 'boolean', unit: '', digits: 0 }, { attribute: 'observedAt', title: L(['Seen', '수신']), kind: 'instant', unit: '', digits: 0 }] },
  { entity_type: 'ManureManifest', title: L(['Manifests', '인계서']), is_record: true, sort: '-plannedAt', columns: [{ attribute: 'number', title: L(['Number', '번호']), kind: 'text', unit: '', digits: 0 }, { attribute: 'state', title: L(['State', '상태']), kind: 'state', unit: '', digits: 0 }, { attribute: 'vehicle', title: L(['Truck', '차량']), kind: 'entity', unit: '', digits: 0 }, { attribute: 'from', title: L(['From', '배출자']), kind: 'entity', unit: '', digits: 0 }, { attribute: 'plannedAmount', title: L(['Planned', '계획량']), kind: 'number', unit: 'kg', digits: 0 }, { attribute: 'plannedAt', title: L(['Planned at', '계획 시각']), kind: 'instant', unit: '', digits: 0 }] }
]
const vrow = (tr) => { const a = at(tr, now()); return { id: tr.id, vehiclePlateIdentifier: { value: tr.plate, text: tr.plate }, grossWeight: { value: a.w, text: a.w.toLocaleString() }, speed: { value: a.speed, text: a.speed.toFixed(0) }, ptoEngaged: { value: a.pto, text: L(a.pto ? ['on', '작동'] : ['off', '정지']) }, observedAt: { value: iso(a.t), text: iso(a.t) } } }
const thing = (tr) => { const a = at(tr, now()); const inc = incidents.find((x) => x.tr === tr && x.state !== 'resolved'); return { id: tr.id, type: 'Vehicle', label: tr.plate, lon: a.p[0], lat: a.p[1], heading: a.heading, speed: a.speed, observed_at: iso(a.t), state: tr.code === 'T20' ? 'stale' : inc ? 'incident' : 'ok', severity: inc?.severity ?? null, weight: a.w } }
const record = (m) => ({ id: m.id, type: 'ManureManifest', type_title: L(['Manifest', '인계서']), label: m.number, incidents: [], state: MST[m.st][0], state_title: L(MST[m.st].slice(1)), version: m.version, data: {}, fields: [['number', 'Number', '번호', m.number, '', 'text'], ['from', 'From', '배출자', m.tr.f.id, '', 'entity', m.tr.f.name], ['vehicle', 'Truck', '차량', m.tr.id, '', 'entity', m.tr.plate], ['plannedAmount', 'Planned amount', '계획량', m.amount, 'kg', 'number'], ['plannedAt', 'Planned at', '계획 시각', iso(m.at), '', 'instant'], ['acceptedAmount', 'Accepted', '인수량', m.st === 7 ? m.amount - 40 : null, 'kg', 'number']].map(([name, en, ko, value, unit, kind, text]) => ({ name, title: L([en, ko]), value, text: text ?? (value == null ? '' : typeof value === 'number' ? value.toLocaleString() : String(value)), unit, kind })), trail: MST.slice(0, m.st + 1).map((s, i) => ({ version: i + 1, action: ['create', 'precheck', 'start', 'load', 'depart', 'unload', 'finish', 'confirm'][i], action_title: L(s.slice(1)), actor: i === 3 || i === 5 ? 'terminal ' + m.tr.code : '박기사', on_behalf_of: i === 0 ? m.tr.f.name : null, at: iso(m.at + i * 700e3), from_state: MST[i - 1]?.[0] ?? '', to_state: s[0], note: '', changes: i === 3 ? [{ name: 'loaded', title: L(['Loaded', '상차량']), before: null, after: `${m.amount} kg` }] : [] })), states: MST.map((s, i) => ({ state: s[0], title: L(s.slice(1)), at: i <= m.st ? iso(m.at + i * 700e3) : null, by: i <= m.st ? '박기사' : null })), actions: [{ name: 'confirm', title: L(['Confirm', '확인']), consequence: L(['Closes the manifest; both parties get a copy.', '인계서를 닫고 양쪽에 사본을 보냅니다.']), permission: 'manifest.confirm', allowed: m.st === 6, reasons: m.st === 6 ? [] : [L(['Not awaiting confirmation.', '확인 대기 상태가 아닙니다.'])], arguments: [{ name: 'acceptedAmount', kind: 'number', required: true, title: L(['Accepted amount', '인수량']), unit: 'kg', choices: [] }, { name: 'signer', kind: 'text', required: true, title: L(['Signed by', '서명자']), unit: '', choices: [] }] }, { name: 'dispute', title: L(['Dispute', '이의']), consequence: L(['Goes back to the parties.', '당사자에게 돌아갑니다.']), permission: 'manifest.confirm', allowed: m.st === 6, reasons: m.st === 6 ? [] : [L(['Not awaiting confirmation.', '확인 대기 상태가 아닙니다.'])], arguments: [{ name: 'note', kind: 'text', required: true, title: L(['Why', '사유']), unit: '', choices: [] }] }], deadlines: m.st === 6 ? [{ name: 'confirm', title: L(['Confirm within 7 days', '7일 안에 확인']), due_at: iso(m.at + 6e8), action: 'expire' }] : [], outbox: [], related: [{ id: m.tr.id, type: 'Vehicle', label: m.tr.plate }] })
const problem = (res, status, code, title, extra = {}) => { res.writeHead(status, { 'content-type': 'application/problem+json' }); res.end(JSON.stringify({ type: `urn:madang:error:${code}`, title, status, detail: title, code, ...extra })) }
const streams = new Set(); let seq = 1
setInterval(() => { seq++; const moves = trucks.map((tr) => { const a = at(tr, now()); return [tr.id, ...a.p, a.heading, a.speed, a.t, a.w] }); for (const r of streams) r.write(`id: ${seq}\nevent: moves\ndata: ${JSON.stringify({ seq, moves })}\n\n`) }, 500)
setInterval(() => { for (const r of streams) r.write(`event: clock\ndata: ${JSON.stringify({ now: iso(now()), speed: SPEED })}\n\n`) }, 1000)
setInterval(() => { const tr = trucks[Math.floor(Math.random() * N)]; const t = now(); const x = { tr, rule: ['D1', 'D4', 'D2'][seq % 3], marked: t - 60e3, p: at(tr, t).p, severity: ['high', 'high', 'medium'][seq % 3], state: 'open', unseen: true, version: 1, trail: [] }; x.lane = x.severity === 'medium' ? 'look' : 'act'; x.number = `I-2026-${String(incidents.length + 1).padStart(6, '0')}`; x.id = `urn:ngsi-ld:Incident:${x.number}`; x.trail.push({ version: 1, action: 'open', action_title: ['Opened', '발생'], actor: 'system', at: t, from_state: '', to_state: 'open' }); incidents.push(x); for (const r of streams) { cur = r.lang; r.write(`event: incident\ndata: ${JSON.stringify(sum(x))}\n\n`) } }, 45000)
const send = (res, v, status = 200) => { res.writeHead(status, { 'content-type': 'application/json' }); res.end(JSON.stringify(v)) }
http.createServer(async (req, res) => {
  const u = new URL(req.url, 'http://x'); const p = decodeURIComponent(u.pathname); const q = u.searchParams
  cur = q.get('lang') ?? ((req.headers['accept-language'] ?? 'en').startsWith('ko') ? 'ko' : 'en')
  let body = ''; for await (const c of req) body += c
  const json = body ? JSON.parse(body) : {}
  if (p === '/api/session') { if (req.method === 'POST' && json.token !== 'demo') return problem(res, 401, 'bad-token', 'This token is not known.'); res.writeHead(204, { 'set-cookie': `madang_session=${req.method === 'POST' ? 'x' : ''}; HttpOnly; SameSite=Strict; Path=/` }); return res.end() }
  if (!/madang_session=x/.test(req.headers.cookie ?? '')) return problem(res, 401, 'unauthenticated', 'Log in first.')
  if (p === '/api/me') return send(res, { principal: 'urn:p:1', name: '김서연', role: 'officer', permissions: ['incident.read', 'incident.act', 'entity.read', 'manifest.read', 'manifest.confirm', 'source.read', 'source.manage'], tenant: 'hongseong', party: null })
  if (p === '/api/city') return send(res, { name: L(['Hongseong', '홍성군']), languages: ['ko', 'en'], bounds: [...ll(-7000, -5000), ...ll(7000, 5000)], time_zone: 'Asia/Seoul', clock: { now: iso(now()), speed: SPEED }, sample: true, version: '0.1.0' })
  if (p === '/api/layers') return send(res, layers.map(({ data, ...l }) => l))
  if (p.startsWith('/api/layers/')) return send(res, layers.find((l) => l.id === p.slice(12)).data)
  if (p === '/api/live') return send(res, { seq, things: trucks.map(thing) })
  if (p === '/api/stream') { res.writeHead(200, { 'content-type': 'text/event-stream' }); res.lang = cur; streams.add(res); res.on('close', () => streams.delete(res)); return }
  if (p === '/api/incidents') { let xs = incidents.slice().reverse(); const lanes = { act: 0, look: 0, log: 0 }; xs.forEach((x) => lanes[x.lane]++); const text = q.get('text'); if (text) xs = xs.filter((x) => JSON.stringify(sum(x)).includes(text)); return send(res, { items: xs.slice(0, Number(q.get('limit') ?? 100)).map(sum), total: xs.length, truncated: false, lanes }) }
  if (p.startsWith('/api/incidents/')) { const x = incidents.find((y) => y.id === p.slice(15)); if (!x) return problem(res, 404, 'not-found', 'No such incident.'); x.unseen = false; return send(res, full(x)) }
  let m
  if ((m = p.match(/^\/api\/records\/(.+)\/actions\/(.+)$/))) { const x = incidents.find((y) => y.id === m[1]); const to = { acknowledge: 'acknowledged', assign: 'acting', resolve: 'resolved', reopen: 'open' }[m[2]]; if (x) { if (json.version !== x.version) return problem(res, 409, 'version-conflict', 'Someone changed it meanwhile.', { current_version: x.version, changed: trail(x).slice(-1) }); x.version++; x.trail.push({ version: x.version, action: m[2], action_title: [m[2], m[2]], actor: '김서연', at: now(), from_state: x.state, to_state: to, note: json.arguments?.note }); x.state = to; x.lane = to === 'resolved' ? 'log' : ['critical', 'high'].includes(x.severity) ? 'act' : 'look'; for (const r of streams) { cur = r.lang; r.write(`event: incident\ndata: ${JSON.stringify(sum(x))}\n\n`) } return send(res, { record: full(x) }) } const mm = manifests.find((y) => y.id === m[1]); mm.st = 7; mm.version++; return send(res, { record: record(mm) }) }
  if (p.startsWith('/api/records/')) { const x = manifests.find((y) => y.id === p.slice(13)); return x ? send(res, record(x)) : problem(res, 404, 'not-found', 'No such record.') }
  if ((m = p.match(/^\/api\/entities\/(.+)\/history$/))) { const tr = trucks.find((y) => y.id === m[1]); if (!tr) return send(res, { series: {}, truncated: false }); const from = Date.parse(q.get('from')), to = Math.min(now(), Date.parse(q.get('to'))); const n = Number(q.get('limit') ?? 5000); const step = Math.max(10e3, Math.ceil((to - from) / n / 10e3) * 10e3); const out = {}; for (const a of q.get('attributes').split(',')) out[a] = { unit: { grossWeight: 'kg', speed: 'km/h' }[a] ?? '', t: [], v: [] }; for (let t = from; t <= to; t += step) { const s = at(tr, t); const vals = { grossWeight: s.w, speed: s.speed, ptoEngaged: s.pto, location: s.p, heading: s.heading }; for (const a in out) { out[a].t.push(t); out[a].v.push(vals[a]) } } return send(res, { series: out, truncated: step > 10e3 }) }
  if (p.startsWith('/api/entities/')) { const id = p.slice(14); const tr = trucks.find((y) => y.id === id); const pl = [...farms, ...parcels, ...plants].find((y) => y.id === id); if (!tr && !pl) return problem(res, 404, 'not-found', 'No such thing.'); if (pl) return send(res, { id, type: id.split(':')[2], type_title: id.split(':')[2], label: pl.name, attributes: [{ name: 'name', title: L(['Name', '이름']), value: pl.name, text: pl.name, unit: '', observed_at: null, age_s: null, kind: 'text' }], location: pl.geo, records: [], incidents: [], derived: [] }); const a = at(tr, now()); const at_ = iso(a.t); return send(res, { id, type: 'Vehicle', type_title: L(['Truck', '차량']), label: tr.plate, attributes: [['grossWeight', 'Gross weight', '총중량', a.w, 'kg', 'number'], ['speed', 'Speed', '속도', a.speed, 'km/h', 'number'], ['heading', 'Heading', '방향', a.heading, '°', 'number'], ['ptoEngaged', 'PTO', 'PTO', a.pto, '', 'boolean'], ['ignition', 'Ignition', '시동', a.ign, '', 'boolean'], ['hdop', 'HDOP', 'HDOP', null, '', 'number']].map(([name, en, ko, value, unit, kind]) => ({ name, title: L([en, ko]), value, text: value === null ? '' : kind === 'boolean' ? L(value ? ['on', '켜짐'] : ['off', '꺼짐']) : Math.round(value).toLocaleString(), unit, observed_at: value === null ? null : at_, age_s: (now() - a.t) / 1e3, kind })), location: { type: 'Point', coordinates: a.p }, records: manifests.filter((y) => y.tr === tr).slice(0, 4).map((y) => ({ id: y.id, label: y.number, type_title: L(['Manifest', '인계서']), type: 'ManureManifest', state: MST[y.st][0], state_title: L(MST[y.st].slice(1)), version: y.version })), incidents: incidents.filter((x) => x.tr === tr).map(sum), derived: [0, 1, 2].flatMap((c) => { const b = now() - (((now() + tr.off) % tr.period + tr.period) % tr.period) - c * tr.period; return [{ id: `urn:ngsi-ld:VehicleTrip:${tr.code}-${c}`, type: 'VehicleTrip', title: L(['Trip', '운행']), startedAt: iso(b), endedAt: iso(b + tr.period - 25 * 60e3), amount: tr.load, place_label: '' }, { id: `urn:ngsi-ld:ManureUnloading:${tr.code}-${c}`, type: 'ManureUnloading', title: L(['Unloading', '하역']), startedAt: iso(b + 10 * 60e3 + tr.drive), endedAt: iso(b + 22 * 60e3 + tr.drive), amount: tr.load, place_label: tr.cheat ? '' : tr.d.name }] }) }) }
  if (p === '/api/record-types') return send(res, [{ type: 'ManureManifest', title: 'Manifest', states: [], actions: [] }])
  if (p === '/api/search') return send(res, [])
  if (p === '/api/tables') return send(res, tables())
  if (p.startsWith('/api/tables/')) { const ty = p.slice(12); const tb = tables().find((x) => x.entity_type === ty); if (!tb) return problem(res, 404, 'not-found', 'No such table.'); let rows = ty === 'Vehicle' ? trucks.map(vrow) : manifests.map(mrow); const text = q.get('text'); if (text) rows = rows.filter((r) => JSON.stringify(r).includes(text)); const so = q.get('sort') || tb.sort; const k = so.replace(/^-/, ''); rows.sort((a, b) => ((a[k]?.value ?? 0) > (b[k]?.value ?? 0) ? 1 : -1) * (so[0] === '-' ? -1 : 1)); const off = Number(q.get('offset') ?? 0), lim = Number(q.get('limit') ?? 100); return send(res, { columns: tb.columns, rows: rows.slice(off, off + lim), total: rows.length, truncated: off + lim < rows.length }) }
  if (p === '/api/indicators') return send(res, [{ id: 'share', title: L(['Share of tonnes under a manifest', '인계서로 관리된 톤 비율']), unit: '%', method: L(['Tonnes unloaded while a manifest was open, over all tonnes unloaded, from the trucks’ weight sensors. Wilson interval over loads.', '인계서가 열려 있을 때 내린 톤을 전체 하역 톤으로 나눈 값. 차량 중량 센서 기준.']), rows: [{ label: L(['All carriers', '전체']), value: 91.4, text: '91.4', unit: '%', interval: [87.2, 94.4], sample_size: 213, refused: null }, { label: '한길운수', value: 97.1, text: '97.1', unit: '%', interval: [90.0, 99.2], sample_size: 69, refused: null }, { label: '동해환경', value: 74.0, text: '74.0', unit: '%', interval: [60.4, 84.1], sample_size: 50, refused: null }] }, { id: 'odour', title: L(['Odour complaints, before and after', '악취 민원 전후']), unit: '/day', method: L(['Complaints a day near treated parcels against a comparison group.', '대조군과 비교한 하루 민원 수.']), rows: [{ label: L(['Change', '변화']), value: null, text: '', unit: '', interval: null, sample_size: 12, refused: L(['No comparison area is registered, so no effect can be claimed. Register one under reference areas.', '비교 지역이 등록되지 않아 효과를 주장할 수 없습니다.']) }] }])
  if (p === '/api/sources') return send(res, [{ id: 'manure-terminals', title: L(['Truck terminals', '차량 단말기']), protocol: 'MQTT 3.1.1', state: 'ok', last_message_at: iso(now() - 2000), rate_per_min: 238.4, accepted: 128331, duplicates: 212, rejected: 9, acknowledgement: L(['PUBACK means stored on disk together with its history.', 'PUBACK은 이력과 함께 디스크에 저장되었다는 뜻입니다.']), cadence_s: 10, devices: N }, { id: 'odour-desk', title: L(['Odour complaints desk', '악취 민원 창구']), protocol: 'HTTP', state: 'silent', last_message_at: iso(now() - 9e6), rate_per_min: 0, accepted: 12, duplicates: 0, rejected: 0, acknowledgement: L(['200 means stored on disk.', '200은 디스크에 저장되었다는 뜻입니다.']), cadence_s: 3600, devices: 1 }])
  if (p === '/api/quarantine') return send(res, [{ id: 1, bytes: 80, source: 'manure-terminals', received_at: iso(now() - 3e6), code: 'out-of-range', detail: L(['lon 900 lies outside −180…180.', '경도 900은 −180…180 범위 밖입니다.']), topic: 'manure/T12/telemetry', payload: '{"seq":1234,"t":"2026-11-22T16:20:00Z","lon":900,"lat":36.6,"spd":31,"w":11200}' }])
  if (p.startsWith('/api/quarantine/')) return send(res, { state: 'rejected', detail: L(['Still not understood: lon 900 lies outside −180…180.', '아직 이해할 수 없습니다: 경도 900은 범위 밖입니다.']) })
  problem(res, 404, 'not-found', `Nothing at ${p}.`)
}).listen(PORT, '127.0.0.1', () => console.log(`mock on ${PORT}`))
