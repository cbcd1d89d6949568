export const OUTPUT_SHARES = {
  /** Calls over which a mean is taken. */
  memory: 500,
  /** … and that of calls with an input of much the same size, of which there are fewer. */
  sizeMemory: 200,
  /** Sizes are told apart by quarters of an octave: prompts made from one template differ by less, and what they ask for shows in what comes back. */
  sizesPerOctave: 4,
  smallestTokens: 16,
  /** Up to 128k tokens; larger ones are taken together. */
  sizes: 52,
  /** Calls of one size that weigh as much as what is known of the task type. */
  prior: 8,
  /** Task types that are told apart; further ones are taken together. */
  taskTypes: 64,
  /** Expected output ÷ the most asked for, of a task type that has not been seen. */
  first: 0.25,
}

/** Mean output ÷ the most asked for of a task type, and by size of the input. Plain JSON. */
export interface OutputShare {
  share: number
  calls: number
  readonly sizeShares: number[]
  readonly sizeCalls: number[]
}

/** By task type. */
export type OutputShares = Record<string, OutputShare>

/** The part of the most asked for that a call is likely to use. */
export function outputShareOf(shares: OutputShares, taskType: string, inputTokens: number): number {
  const known = typeOf(shares, taskType)
  if (known === undefined) return OUTPUT_SHARES.first
  const size = sizeOf(inputTokens)
  const calls = known.sizeCalls[size] ?? 0
  return known.share + (((known.sizeShares[size] ?? 0) - known.share) * calls) / (calls + OUTPUT_SHARES.prior)
}

export function learnOutputShare(shares: OutputShares, taskType: string, inputTokens: number, share: number): void {
  const known = typeFor(shares, taskType, share)
  known.calls = Math.min(known.calls + 1, OUTPUT_SHARES.memory)
  known.share += (share - known.share) / known.calls
  const { sizeShares, sizeCalls } = known
  const size = sizeOf(inputTokens)
  while (sizeCalls.length <= size) sizeShares[sizeCalls.push(0) - 1] = 0
  const calls = Math.min((sizeCalls[size] ?? 0) + 1, OUTPUT_SHARES.sizeMemory)
  const before = sizeShares[size] ?? 0
  sizeCalls[size] = calls
  // Six digits, so that what is kept stays short.
  sizeShares[size] = Math.round((before + (share - before) / calls) * 1e6) / 1e6
}

function typeFor(shares: OutputShares, taskType: string, share: number): OutputShare {
  // To assign `__proto__` would not add a key.
  const room = taskType !== '__proto__' && (Object.hasOwn(shares, taskType) || Object.keys(shares).length < OUTPUT_SHARES.taskTypes)
  const known = typeOf(shares, room ? taskType : '')
  if (known !== undefined && (!room || Object.hasOwn(shares, taskType))) return known
  return (shares[room ? taskType : ''] = { share, calls: 0, sizeShares: [], sizeCalls: [] })
}

function typeOf(shares: OutputShares, taskType: string): OutputShare | undefined {
  // Names come from requests: `constructor` must not find what every object has.
  if (Object.hasOwn(shares, taskType)) return shares[taskType]
  return Object.hasOwn(shares, '') ? shares[''] : undefined
}

function sizeOf(inputTokens: number): number {
  const { sizesPerOctave, smallestTokens, sizes } = OUTPUT_SHARES
  return Math.min(sizes - 1, Math.max(0, Math.floor(sizesPerOctave * Math.log2(Math.max(1, inputTokens) / smallestTokens))))
}
