// Receives webhooks: verifies them and prints one line per event. To copy; it needs nothing but Node.js.
//
// WEBHOOK_SECRET=whsec_… node receive.mjs 9000
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";

const key = Buffer.from((process.env.WEBHOOK_SECRET ?? "").replace(/^whsec_/, ""), "base64");
if (key.length === 0) throw new Error("WEBHOOK_SECRET is not set");

/** Whether one of the signatures is right, made within five minutes of now over exactly these bytes. */
function verified(headers, body) {
  const { "webhook-id": id, "webhook-timestamp": sent, "webhook-signature": given = "" } = headers;
  const signature = createHmac("sha256", key).update(`${id}.${sent}.`).update(body).digest("base64");
  const right = Buffer.from(`v1,${signature}`);
  const equal = (one) => one.length === right.length && timingSafeEqual(Buffer.from(one, "latin1"), right);
  return Math.abs(Date.now() / 1000 - Number(sent)) <= 300 && given.split(" ").some(equal);
}

/** Answers 204 when the work is done: what is answered otherwise, or not at all, comes again. */
async function receive(request, response) {
  const body = request.headers["content-length"] < 1e8 ? await buffer(request) : "";
  if (!verified(request.headers, body)) {
    console.error("refused: not signed with this secret, or not now");
    return response.writeHead(401).end();
  }
  const post = JSON.parse(body);
  const single = { ...post, id: request.headers["webhook-id"] };
  for (const event of post.type === "batch" ? post.data.events : [single])
    console.log(event.timestamp, event.type, event.id, JSON.stringify(event.data));
  response.writeHead(204).end();
}

createServer((request, response) => {
  receive(request, response).catch((error) => {
    console.error(error.message);
    response.destroy(error);
  });
}).listen(Number(process.argv[2]), "127.0.0.1");
