// The small HTTP port for people, probes and Prometheus. Any web page can reach a loopback port, so
// only requests that name this host by one of its own names are answered, and none that a page of
// another origin makes.
import { STATUS_CODES, createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { isIPv4 } from "node:net";

import { Logger } from "./log.js";

const [HEAD_BYTES_MAX, WITHIN_MS, CONNECTIONS_MAX] = [8192, 5000, 32];
const HOST = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{1,5})?$/;
const LOGGER = new Logger("tandemkit.hosting");

/** What a page says. */
export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly mediaType?: string;
}

/** From the path and the Accept header. */
export type Pages = (path: string, accept: string) => Answer;

/** Listens and answers from now on. `names` are those of this host besides the loopback ones. */
export async function httpPort(
  address: string,
  names: Iterable<string>,
  pages: Pages,
): Promise<Server> {
  const place = address.lastIndexOf(":");
  const [host, port] = [
    address.slice(0, place).replace(/^\[|\]$/g, ""),
    Number(address.slice(place + 1)),
  ];
  const own = new Set(["localhost", host, ...names].map((one) => one.toLowerCase()));
  const options = {
    maxHeaderSize: HEAD_BYTES_MAX,
    headersTimeout: WITHIN_MS,
    requestTimeout: WITHIN_MS,
  };
  const server = createServer(options, (request, response) =>
    send(request, response, answer(request, own, pages)),
  );
  server.maxConnections = CONNECTIONS_MAX;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, exclusive: true }, resolve);
  });
  const bound = server.address();
  if (bound !== null && typeof bound === "object") {
    const said = bound.family === "IPv6" ? `[${bound.address}]` : bound.address;
    LOGGER.info("http.serving", { address: `${said}:${bound.port}` });
  }
  return server;
}

function answer(request: IncomingMessage, own: ReadonlySet<string>, pages: Pages): Answer {
  if (!isOwn(request.headers.host ?? "", own)) return plain(421);
  if (request.headers.origin !== undefined) return plain(403);
  if (request.method !== "GET" && request.method !== "HEAD") return plain(405);
  const [path = ""] = (request.url ?? "").split("?");
  return pages(path, request.headers.accept ?? "");
}

function isOwn(said: string, own: ReadonlySet<string>): boolean {
  const [, six, name] = HOST.exec(said.toLowerCase()) ?? [];
  const found = six ?? name;
  if (found === undefined) return false;
  return own.has(found) || found === "::1" || (isIPv4(found) && found.startsWith("127."));
}

function plain(status: number): Answer {
  return { status, body: `${status} ${STATUS_CODES[status] ?? ""}\n` };
}

function send(request: IncomingMessage, response: ServerResponse, found: Answer): void {
  const body = Buffer.from(found.body);
  response.writeHead(found.status, {
    "Content-Type": found.mediaType ?? "text/plain; charset=utf-8",
    "Content-Length": body.length,
    Allow: "GET, HEAD",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    Connection: "close",
  });
  response.end(request.method === "HEAD" ? undefined : body);
}
