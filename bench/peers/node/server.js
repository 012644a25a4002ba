// Node's socket.io as its users write it: what a client sends to a room is relayed to that room.
// Everything is at its default: the ws engine, the JSON parser, no compression.
const { createServer } = require("node:http");
const { Server } = require("socket.io");

const server = createServer();
const io = new Server(server);

io.on("connection", (socket) => {
  socket.on("join", ({ room }, ack) => {
    socket.join(room);
    ack?.({ ok: true, room });
  });
  socket.on("chat", (message, ack) => {
    io.to(message.room).emit("chat", message);
    ack?.({ ok: true });
  });
  socket.on("ping", (data, ack) => {
    ack?.({ ok: true, pong: true, timestamp: new Date().toISOString() });
  });
});

server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
