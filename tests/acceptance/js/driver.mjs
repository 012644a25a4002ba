// Stock socket.io-client behind a pipe: JSON lines of commands on stdin, JSON lines of what happened on stdout.
// Binary values travel as {"$bin": base64} in both directions.
import readline from "node:readline";
import { io } from "socket.io-client";

const clients = new Map();

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

function revive(value) {
  if (Array.isArray(value)) return value.map(revive);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.$bin === "string") return Buffer.from(value.$bin, "base64");
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revive(inner)]));
}

function flatten(value) {
  if (value instanceof ArrayBuffer) return { $bin: Buffer.from(value).toString("base64") };
  if (ArrayBuffer.isView(value)) {
    return { $bin: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64") };
  }
  if (Array.isArray(value)) return value.map(flatten);
  if (value === null || typeof value !== "object") return value === undefined ? null : value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, flatten(inner)]));
}

function watch(c, socket) {
  const report = (t, more = {}) => say({ c, t, ...more });
  const watchEngine = () => {
    const engine = socket.io.engine;
    engine.on("upgrade", (transport) => report("upgrade", { transport: transport.name }));
  };
  socket.on("connect", () => {
    const engine = socket.io.engine;
    report("connect", { sid: socket.id, recovered: socket.recovered === true, transport: engine.transport.name });
  });
  socket.on("connect_error", (error) => {
    report("connect_error", { message: error.message, data: flatten(error.data), context: error.context?.status });
  });
  socket.on("disconnect", (reason) => report("disconnect", { reason }));
  socket.onAny((event, ...args) => report("event", { event, args: flatten(args) }));
  socket.io.on("reconnect_attempt", (attempt) => report("reconnect_attempt", { attempt }));
  socket.io.on("open", watchEngine);
  if (socket.io.engine) watchEngine();
}

function lose(socket) {
  // What a cut cable looks like: nothing says goodbye, neither Socket.IO, Engine.IO nor WebSocket.
  const engine = socket.io.engine;
  const transport = engine.transport;
  if (transport.name === "websocket") return transport.ws.terminate();
  transport.doPoll = () => {};
  transport.doWrite = () => {};
  transport.pollXhr?.abort();
  engine._onClose("transport error");
}

const commands = {
  open({ c, url, options }) {
    const socket = io(url, { forceNew: true, reconnection: false, ...options, autoConnect: false });
    clients.set(c, socket);
    watch(c, socket);
    socket.connect();
  },
  emit({ c, event, args, ack }) {
    const socket = clients.get(c);
    const values = revive(args);
    if (ack === undefined) return void socket.emit(event, ...values);
    socket.emit(event, ...values, (...answer) => say({ c, t: "ack", ack, args: flatten(answer) }));
  },
  // One turn of the loop emits them all: {"message": "<prefix>0"}, "<prefix>1", …
  burst({ c, event, payload, prefix, count }) {
    const socket = clients.get(c);
    for (let i = 0; i < count; i++) socket.emit(event, { ...payload, message: prefix + i });
  },
  authorize({ c, auth }) {
    clients.get(c).auth = auth;
  },
  connect: ({ c }) => void clients.get(c).connect(),
  disconnect: ({ c }) => void clients.get(c).disconnect(),
  lose: ({ c }) => lose(clients.get(c)),
  engine_close: ({ c }) => void clients.get(c).io.engine.close(),
  // A reader that stopped: its socket stays open and nothing is taken out of it.
  pause: ({ c }) => void clients.get(c).io.engine.transport.ws._socket.pause(),
  resume: ({ c }) => void clients.get(c).io.engine.transport.ws._socket.resume(),
  forget({ c }) {
    const socket = clients.get(c);
    clients.delete(c);
    socket?.offAny();
    socket?.io.reconnection(false);
    socket?.disconnect();
  },
};

readline
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line);
    try {
      commands[command.do](command);
    } catch (error) {
      say({ c: command.c, t: "driver_error", command: command.do, message: String(error?.stack ?? error) });
    }
  })
  .on("close", () => process.exit(0));
