import type { ReplayReport } from '../../packages/core/src/index.ts'
import type { Month } from './month.ts'

const [WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM] = [720, 380, 52, 34, 16, 40]
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7']

/** How a month was used: the share of each quota that is spent, against even use and against the share of the month's calls that have come. An SVG. */
export function drawCourse({ course, from, calls }: ReplayReport, month: Month): string {
  const x = (atMs: number): number => LEFT + ((atMs - month.startMs) / (month.endMs - month.startMs)) * (WIDTH - LEFT - RIGHT)
  const y = (share: number): number => HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
  const line = (points: readonly (readonly [number, number])[], style: string): string =>
    `<polyline points="${points.map(([at, share]) => `${x(at).toFixed(1)},${y(share).toFixed(1)}`).join(' ')}" fill="none" ${style}/>`
  const days = Array.from({ length: 31 }, (_, day) => month.startMs + day * 86_400_000)
  const came = days
    .map((atMs) => [atMs, month.atMs.findIndex((at) => at >= atMs)] as const)
    .map(([atMs, i]) => [atMs, (i < 0 ? month.size : i) / month.size] as const)
  const quotas = course.map(({ at, utilization }) =>
    at.map((time, k) => [Date.parse(time), utilization[k] ?? 0] as const).filter(([time]) => time < month.endMs),
  )
  const parts = [
    ...[0, 0.25, 0.5, 0.75, 1].map(
      (share) =>
        `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(share)}" y2="${y(share)}" stroke="#ddd"/><text x="${LEFT - 8}" y="${y(share) + 4}" text-anchor="end">${share * 100}%</text>`,
    ),
    ...[0, 5, 10, 15, 20, 25, 30].map((day) => `<text x="${x(days[day]!)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${day}</text>`),
    line(
      [
        [month.startMs, 0],
        [month.endMs, 1],
      ],
      'stroke="#999" stroke-dasharray="2 4"',
    ),
    line(came, 'stroke="#333" stroke-dasharray="6 4"'),
    ...quotas.map((points, k) => line(points, `stroke="${COLOURS[k % COLOURS.length]}" stroke-width="2"`)),
    ...course.map(({ backend }, k) => `<text x="${LEFT + 10 + k * 80}" y="20" fill="${COLOURS[k % COLOURS.length]}" font-weight="bold">${backend}</text>`),
    `<text x="${WIDTH - RIGHT}" y="20" text-anchor="end">quota spent; dashed: calls that have come; dotted: even use</text>`,
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 6}" text-anchor="middle">days; ${calls.toLocaleString('en')} calls from ${from.slice(0, 10)}</text>`,
  ]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12" fill="#333" role="img">\n<title>Share of each quota spent, day by day</title>\n<rect width="100%" height="100%" fill="#fff"/>\n${parts.join('\n')}\n</svg>\n`
}
