/** Version of the messages between a router and a game. */
export const PROTOCOL_VERSION = 1
