const formats = new Map<string, Intl.DateTimeFormat>()

/** `2026-12-01 00:00` in the zone, for people. */
export function formatInstant(ms: number, zone: string): string {
  let format = formats.get(zone)
  if (format === undefined) {
    // The Swedish form of a date is the ISO one.
    format = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'short' })
    formats.set(zone, format)
  }
  return format.format(ms)
}

/** ISO 8601 in UTC, for machines. */
export function isoInstant(ms: number): string {
  return new Date(ms).toISOString()
}
