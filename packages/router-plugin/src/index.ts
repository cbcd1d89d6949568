export { AUTO_MODEL, PLUGIN_CONTRACT, PLUGIN_ERRORS, PluginError } from './contract.ts'
export type { HostModel, PluginErrorCode } from './contract.ts'
export type { PluginConfig } from './config.ts'
export { MancipleGatewayPlugin } from './llm-gateway.ts'
