// The status language: five words, each with its own shape, and one order.

export const STATUSES = ['critical', 'high', 'medium', 'low', 'resolved'] as const
export type Status = (typeof STATUSES)[number]

const DONE = new Set(['resolved', 'closed', 'reviewed', 'merged', 'withdrawn', 'cancelled'])

/** True when nobody has to do anything any more. */
export function isDone(state: string): boolean {
  return DONE.has(state.toLowerCase())
}

/** The status that a reader sees: a resolved incident is ✓ whatever its severity was. */
export function statusOf(incident: { state: string; severity: string; withdrawn?: boolean }): Status {
  if (isDone(incident.state) || incident.withdrawn) return 'resolved'
  return (STATUSES as readonly string[]).includes(incident.severity) ? (incident.severity as Status) : 'low'
}

/** 4 for critical down to 0 for resolved: what a cluster shows is the largest of its members. */
export function rankOf(status: Status): number {
  return STATUSES.length - 1 - STATUSES.indexOf(status)
}

export function statusOfRank(rank: number): Status {
  return STATUSES[STATUSES.length - 1 - rank] ?? 'low'
}
