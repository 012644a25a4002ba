// Webhooks verified by npm's standardwebhooks: {secret, requests: [{headers, body}]} on stdin, one verdict each on stdout.
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

const { secret, requests } = JSON.parse(readFileSync(0, "utf8"));
const webhook = new Webhook(secret);

const verdicts = requests.map(({ headers, body }) => {
  try {
    return { payload: webhook.verify(Buffer.from(body, "base64").toString("utf8"), headers) };
  } catch (error) {
    return { error: String(error) };
  }
});
process.stdout.write(JSON.stringify(verdicts));
