// A receiver of webhooks that verifies what it gets with npm's `standardwebhooks`
// and, by the path that it is asked on, answers as receivers do that are well,
// busy, slow, gone, or that lie.
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const { secrets } = JSON.parse(process.argv[2]);
const tell = (event) => console.log(JSON.stringify(event));
const verifies = (secret, body, headers) => {
  try {
    new Webhook(secret).verify(body, headers);
    return true;
  } catch {
    return false;
  }
};
let flaky = 0;

const server = createServer(async (request, response) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const body = Buffer.concat(pieces).toString();
  const { headers, url: path } = request;
  tell({
    event: "message",
    path,
    method: request.method,
    id: headers["webhook-id"],
    type: headers["content-type"],
    verified: secrets.map((secret) => verifies(secret, body, headers)),
    forged: verifies(secrets[0], `${body} `, headers),
    body: JSON.parse(body || "null"),
  });
  switch (path) {
    case "/flaky":
      flaky += 1;
      response.writeHead(flaky === 1 ? 500 : 204).end();
      break;
    case "/gone":
      response.writeHead(410).end();
      break;
    case "/redirect":
      response.writeHead(307, { Location: "/elsewhere" }).end();
      break;
    case "/slow":
      break;
    case "/chatty":
      response.writeHead(200);
      response.end("x".repeat(1 << 20));
      break;
    default:
      response.writeHead(200).end("{\"verdict\":\"approve\"}");
  }
});
server.listen(0, "127.0.0.1", () => tell({ event: "listening", url: `http://127.0.0.1:${server.address().port}` }));
