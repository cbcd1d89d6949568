import { measureAiSdk } from './ai-sdk.bench.ts'
console.log(JSON.stringify(await measureAiSdk('/work/main', 300), null, 1))
