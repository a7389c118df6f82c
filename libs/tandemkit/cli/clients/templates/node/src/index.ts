/** One channel over which every agent of a Tandem fleet is called. */

import * as fs from "node:fs";
import * as path from "node:path";

import * as grpc from "@grpc/grpc-js";
import * as xds from "@grpc/grpc-js-xds";
import * as loader from "@grpc/proto-loader";

import type { BadRequest__Output as BadRequest } from "./contracts/google/rpc/BadRequest";
import type { ErrorInfo__Output as ErrorInfo } from "./contracts/google/rpc/ErrorInfo";
import type { RetryInfo__Output as RetryInfo } from "./contracts/google/rpc/RetryInfo";
import type { Status__Output as Status } from "./contracts/google/rpc/Status";
import type { ProtoGrpcType } from "./contracts/index";

/** The very gRPC that the channel is made with: for `grpc.Metadata`, `grpc.status` and others. */
export { grpc };

/** The whole fleet. */
export const TARGET = "xds:///tandem";

const PROTOS = path.join(__dirname, "..", "protos");
// As the types were made: see `npm run types`.
const definition = loader.loadSync("index.proto", {
  includeDirs: [PROTOS],
  longs: String,
  enums: String,
  defaults: true,
  oneofs: true,
});

/** The contracts of every agent, such as `contracts.tandem.utility.v1.ToolboxService`. */
export const contracts = grpc.loadPackageDefinition(definition) as unknown as ProtoGrpcType;

// A dead link shows within 3 s, and a quiet one stays open through address translation.
const OPTIONS: grpc.ChannelOptions = {
  "grpc.keepalive_time_ms": 2000,
  "grpc.keepalive_timeout_ms": 1000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2000,
};

// A fleet takes the token before for a while, so a new one need not be seen at once.
const LOOK_AGAIN_AFTER_MS = 5000;
const token = { value: "", readAtMs: -Infinity };

/** What the file holds that TANDEM_TOKEN_FILE names; empty without that variable. */
function bearer(): string {
  const file = process.env.TANDEM_TOKEN_FILE;
  if (!file) return "";
  if (performance.now() - token.readAtMs > LOOK_AGAIN_AFTER_MS) {
    token.value = fs.readFileSync(file, "utf8").trim();
    token.readAtMs = performance.now();
  }
  return `Bearer ${token.value}`;
}

/** Shows the fleet's token with every call. gRPC's own call credentials need TLS. */
const shown: grpc.Interceptor = (options, nextCall) =>
  new grpc.InterceptingCall(nextCall(options), {
    start(metadata, listener, next) {
      const headers = metadata.clone();
      const value = bearer();
      if (value) headers.set("authorization", value);
      next(headers, listener);
    },
  });

type ClientOf<Client> = new (
  address: string,
  credentials: grpc.ChannelCredentials,
  options?: grpc.ClientOptions,
) => Client;

/** One channel, shared by the clients of all agents. */
export class Fleet {
  private readonly channel: grpc.Channel;

  constructor(
    private readonly target: string,
    private readonly credentials: grpc.ChannelCredentials,
    options: grpc.ChannelOptions = {},
  ) {
    this.channel = new grpc.Channel(target, credentials, { ...OPTIONS, ...options });
  }

  /** A client of one agent; it costs no connection of its own. */
  client<Client>(contract: ClientOf<Client>): Client {
    const options = { channelOverride: this.channel, interceptors: [shown] };
    return new contract(this.target, this.credentials, options);
  }

  close(): void {
    this.channel.close();
  }
}

/**
 * The mesh: gRPC itself discovers, balances, retries and fails over. Where the control planes are,
 * and the file with the fleet's token, stand in the environment.
 */
export function dial(options: grpc.ChannelOptions = {}): Fleet {
  if (!process.env.GRPC_XDS_BOOTSTRAP_CONFIG && !process.env.GRPC_XDS_BOOTSTRAP) {
    throw new Error(
      "tandem: set GRPC_XDS_BOOTSTRAP_CONFIG or GRPC_XDS_BOOTSTRAP (`./tandem env` prints it), " +
        "or call dialAddress with the edge's address",
    );
  }
  xds.register();
  // The control plane may turn on mutual TLS for an agent without any change here.
  const credentials = new xds.XdsChannelCredentials(grpc.credentials.createInsecure());
  return new Fleet(TARGET, credentials, options);
}

/** One plain address, `host:port`: the fleet's edge, or one host. In clear by default. */
export function dialAddress(
  address: string,
  credentials: grpc.ChannelCredentials = grpc.credentials.createInsecure(),
  options: grpc.ChannelOptions = {},
): Fleet {
  return new Fleet(address, credentials, options);
}

/** What an agent said about a failed call. */
export interface Failure {
  /** Why, as the contract's ErrorReason names it. */
  errorInfo?: ErrorInfo;
  /** Which fields broke which rule. */
  badRequest?: BadRequest;
  /** When to try again. */
  retryInfo?: RetryInfo;
}

const DETAILS: Record<string, keyof Failure> = {
  "google.rpc.ErrorInfo": "errorInfo",
  "google.rpc.BadRequest": "badRequest",
  "google.rpc.RetryInfo": "retryInfo",
};

/** The details of a failed call; empty where no agent gave any. */
export function failureOf(error: grpc.ServiceError): Failure {
  const failure: Record<string, object> = {};
  for (const wire of error.metadata?.get("grpc-status-details-bin") ?? []) {
    const status = parse("google.rpc.Status", wire as Buffer) as Status;
    for (const detail of status.details as unknown as { type_url: string; value: Buffer }[]) {
      const type = detail.type_url.slice(detail.type_url.lastIndexOf("/") + 1);
      if (DETAILS[type]) failure[DETAILS[type]] = parse(type, detail.value);
    }
  }
  return failure;
}

function parse(type: string, wire: Buffer): object {
  return (definition[type] as loader.MessageTypeDefinition<object, object>).deserialize(wire);
}
