// socket.io-client as an app uses it: prints what it is told, a line of JSON each, and sends what it reads.
//
// node socketio.mjs <directory with node_modules> <server> <namespace> <transport> <auth as JSON>

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [modules, server, namespace, transport, auth] = process.argv.slice(2);
const { io } = createRequire(`${modules}/`)("socket.io-client");

const say = (...told) => console.log(JSON.stringify(told));
const socket = io(server + namespace, {
  auth: JSON.parse(auth),
  transports: transport === "upgrade" ? ["polling", "websocket"] : [transport],
  reconnectionDelay: 50,
});

socket.onAny((event, ...args) => say(event, ...args));
socket.on("connect", () => say("connected", socket.io.engine.transport.name));
socket.on("disconnect", (reason) => say("disconnected", reason));
socket.on("connect_error", (error) => say("refused", error.message, error.data ?? null));
socket.io.engine.on("upgrade", (to) => say("upgraded", to.name));

createInterface({ input: process.stdin })
  .on("line", (line) => socket.emit(...JSON.parse(line), (answer) => say("answer", answer)))
  .on("close", () => socket.close());
