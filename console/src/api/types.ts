// What the server answers, by hand from the agreed contract. `npm run types` writes openapi.d.ts beside it from a running server.

export interface Me {
  principal: string
  name: string
  role: string
  permissions: string[]
  tenant: string
  party: string | null
}

export interface Clock {
  now: string
  speed: number
}

export interface City {
  name: string
  languages: string[]
  bounds: [number, number, number, number]
  time_zone: string
  clock: Clock
  sample: boolean
  version: string
  anonymous_role: string
}

export interface Layer {
  id: string
  title: string
  entity_type: string
  style: 'area' | 'line' | 'place' | 'moving'
  role: string
  label: string
  order: number
  moving: boolean
}

export interface LiveThing {
  id: string
  type: string
  label: string
  lon: number | null
  lat: number | null
  heading: number | null
  speed: number | null
  observed_at: string | null
  state: 'ok' | 'stale' | 'incident'
  severity: string | null
  weight_kg: number | null
  /** Ignition; null: not known. */
  active: boolean | null
}

export interface Live {
  seq: number
  things: LiveThing[]
  /** More than `things` holds when the picture is cut. */
  total: number
}

/** [id, lon, lat, heading °, speed km/h, observed_at ms, weight kg] */
export type Move = [string, number, number, number | null, number | null, number, number | null]

export interface Incident {
  id: string
  number: string
  state: string
  state_title: string
  severity: string
  lane: 'act' | 'look' | 'log'
  title: string
  sentence: string
  subject: string | null
  subject_label: string
  lon: number | null
  lat: number | null
  marked_at: string
  opened_at: string
  acknowledged_by: string | null
  assignee: string | null
  rules: string[]
  findings: number
  withdrawn: boolean
  version: number
  unseen: boolean
}

export interface Incidents {
  items: Incident[]
  total: number
  truncated: boolean
  lanes: { act: number; look: number; log: number }
}

export interface Measure {
  code: string
  title: string
  value: unknown
  limit: unknown
  relation: string
  unit: string
  met: boolean
  value_text: string
  limit_text: string
}

export interface Telling {
  found_at: string
  sentence: string
  withdrawn: boolean
  completed_at: string | null
}

export interface Why {
  rule: string
  rule_title: string
  rule_version: string
  severity: string
  sentence: string
  measures: Measure[]
  would_differ: string[]
  withdrawn: boolean
  withdrawn_sentence: string | null
  marked_at: string
  completed_at: string
  found_at: string
  earlier: Telling[]
}

export interface Evidence {
  entity_id: string
  label: string
  attributes: string[]
  from: string
  to: string
}

export interface Involved {
  id: string
  type: string
  label: string
  type_title: string
}

export interface Change {
  name: string
  title: string
  before: string
  after: string
}

export interface TrailEntry {
  version: number
  action: string
  action_title: string
  actor: string
  on_behalf_of: string | null
  at: string
  from_state: string | null
  to_state: string
  to_state_title: string
  note: string | null
  /** Absent in the short form that a version conflict answers with. */
  changes?: Change[]
}

export interface Choice {
  value: string
  title: string
}

export interface Argument {
  name: string
  kind: string
  required: boolean
  title: string
  unit: string
  choices: Choice[]
  entity_types: string[]
  minimum: number | null
  maximum: number | null
  length_max: number
}

export interface Action {
  name: string
  title: string
  consequence: string
  permission: string
  allowed: boolean
  reasons: string[]
  undo: boolean
  arguments: Argument[]
}

export interface Deadline {
  name: string
  title: string
  due_at: string
  action: string
}

export interface LifeState {
  state: string
  title: string
  at: string | null
  by: string | null
}

export interface IncidentDetail extends Incident {
  level: number
  cause: string | null
  notes: { by: string; at: string; text: string }[]
  why: Why[]
  evidence: Evidence[]
  involved: Involved[]
  trail: TrailEntry[]
  actions: Action[]
  deadlines: Deadline[]
  checklist: { id: string; title: string; done: boolean; by: string | null; at: string | null }[]
  states: LifeState[]
}

export interface Field {
  name: string
  title: string
  value: unknown
  text: string
  unit: string
  kind: string
}

export interface RecordDetail {
  id: string
  type: string
  type_title: string
  label: string
  state: string
  state_title: string
  version: number
  data: Record<string, unknown>
  fields: Field[]
  trail: TrailEntry[]
  states: LifeState[]
  actions: Action[]
  deadlines: Deadline[]
  outbox: { id: number; channel: string; to: string; text: string; state: string; attempts: number; created_at: string; error: string }[]
  related: Involved[]
  incidents: Incident[]
}

export interface Attribute {
  name: string
  title: string
  value: unknown
  text: string
  unit: string
  observed_at: string | null
  age_s: number | null
  kind: string
}

export interface RecordSummary {
  id: string
  type: string
  type_title: string
  label: string
  state: string
  state_title: string
  version: number
  modified_at: string
}

export interface Derived {
  id: string
  type: string
  type_title: string
  title: string
  startedAt: string | null
  endedAt: string | null
  amount: number | null
  place_label: string | null
  status: string | null
  location: GeoJSON.Geometry | null
}

export interface Thing {
  id: string
  type: string
  type_title: string
  label: string
  attributes: Attribute[]
  location: GeoJSON.Geometry | null
  kind: string
  observed_at: string | null
  records: RecordSummary[]
  incidents: Incident[]
  derived: Derived[]
}

export interface Series<V = unknown> {
  unit: string
  title: string
  t: number[]
  v: V[]
}

export interface History {
  series: Record<string, Series>
  truncated: boolean
}

export interface Column {
  attribute: string
  title: string
  kind: string
  unit: string
  digits: number
}

export interface Table {
  entity_type: string
  title: string
  columns: Column[]
  sort: string
  is_record: boolean
  states: Choice[]
  count: number
  permission: string
}

export interface Cell {
  value: unknown
  text: string
}

/** `id` and `label` are texts, all others cells. */
export type Row = { id: string; label?: string } & Record<string, Cell | string | undefined>

export interface Rows {
  columns: Column[]
  rows: Row[]
  total: number
  truncated: boolean
}

export interface IndicatorRow {
  label: string
  value: number | null
  text: string
  unit: string
  interval: [number, number] | null
  sample_size: number
  refused: string | null
}

export interface Indicator {
  id: string
  title: string
  unit: string
  method: string
  rows: IndicatorRow[]
  error: string | null
}

export interface Source {
  id: string
  title: string
  protocol: string
  state: 'ok' | 'silent' | 'never' | 'disabled'
  last_message_at: string | null
  rate_per_min: number
  accepted: number
  duplicates: number
  rejected: number
  acknowledgement: string
  cadence_s: number | null
  devices: number
  quarantined: number
}

export interface Stuck {
  id: string
  kind: 'message' | 'deadline'
  what: string
  to: string
  channel: string
  record: string
  record_type: string
  record_title: string
  why: string
  attempts: number
  since: string
}

export interface StuckPage {
  items: Stuck[]
  truncated: boolean
}

export interface Quarantined {
  id: number
  source: string
  received_at: string
  code: string
  detail: string
  topic: string
  payload: string
  bytes: number
}

export interface Subscription {
  id: string
  name: string
  creator: string
  receiver: string
  status: 'active' | 'paused' | 'expired' | 'failing' | 'resting' | 'revoked'
  is_own: boolean
  due: number
  replayed: number
  delivered: number
  waiting: number
  failed: number
  discarded: number
  throttled: number
  attempts: number
  failed_attempts: number
  last_success: string | null
  last_failure: string | null
  last_error: string
}

export interface FailedNotification {
  no: number
  first_seq: number
  last_seq: number
  events: number
  created_at: string
  error: string
  is_kept: boolean
}
