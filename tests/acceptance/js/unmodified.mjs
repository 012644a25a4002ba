// A client as people write it for a hand-written connection manager: it knows nothing of rtserver, and says nothing of ours.
// node unmodified.mjs URL: prints what it hears, one JSON text per line, until the server has answered its ping.
const WebSocket = globalThis.WebSocket ?? (await import("ws")).WebSocket;

const ws = new WebSocket(process.argv[2]);
ws.onopen = () => {
  ws.send(JSON.stringify({ message: "Hello world", message_type: "chat" }));
  ws.send("just text");
  ws.send(JSON.stringify({ type: "ping" }));
};
ws.onmessage = ({ data }) => {
  console.log(data);
  if (JSON.parse(data).type === "pong") ws.close();
};
ws.onclose = ({ code, reason }) => console.log(JSON.stringify({ type: "closed", code, reason }));
