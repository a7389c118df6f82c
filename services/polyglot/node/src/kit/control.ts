// Calls to one of the controls of the fleet.
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type {
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  Message,
  MessageShape,
} from "@bufbuild/protobuf";
import type { DescMessage } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";

import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { HEADER as TOKEN_HEADER } from "./token.js";
import type { Token } from "./token.js";
import { within } from "./signals.js";

// A dead link shows within 3 s. Each client has connections of its own, so that none waits for
// another's back-off.
const OPTIONS = {
  "grpc.keepalive_time_ms": 2000,
  "grpc.keepalive_timeout_ms": 1000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2000,
  "grpc.use_local_subchannel_pool": 1,
};

/** Control ended a stream without a word, or did not answer in time. */
export class Unconfirmed extends Error {}

/** What a call of control ended with, for the log. */
export function failureFields(error: unknown): Record<string, string> {
  const found = error as Partial<grpc.ServiceError>;
  if (found.code === undefined || found.metadata === undefined)
    return { cause: (error as Error).message };
  return {
    code: grpc.status[found.code],
    reason: reasonOf(found.metadata),
    cause: found.details ?? "",
  };
}

function reasonOf(metadata: grpc.Metadata): string {
  const [wire] = metadata.get("grpc-status-details-bin");
  if (!(wire instanceof Buffer)) return "";
  for (const detail of fromBinary(StatusSchema, wire).details) {
    const info = anyUnpack(detail, ErrorInfoSchema);
    if (info) return info.reason;
  }
  return "";
}

/** A stream on which each request is answered once, or on which answers come by themselves. */
export class Exchange<I extends DescMessage, O extends DescMessage> {
  private readonly came: Array<MessageShape<O>> = [];
  private ended: Error | undefined;
  private waiting: (() => void) | undefined;

  constructor(
    private readonly call:
      | grpc.ClientDuplexStream<MessageShape<I>, MessageShape<O>>
      | grpc.ClientReadableStream<MessageShape<O>>,
  ) {
    call.on("data", (message: MessageShape<O>) => {
      this.came.push(message);
      this.waiting?.();
    });
    const over = (error: Error) => {
      this.ended ??= error;
      this.waiting?.();
    };
    call.on("error", over);
    call.on("end", () => over(new Unconfirmed("control ended the stream")));
  }

  /** Calls `heard` as soon as the stream is over. */
  onEnd(heard: () => void): void {
    this.call.on("close", heard);
    this.call.on("error", heard);
    this.call.on("end", heard);
  }

  /** The answer. Rejects with how the stream ended, or with TooLate. */
  async ask(request: MessageShape<I>, withinMs: number): Promise<MessageShape<O>> {
    (this.call as grpc.ClientDuplexStream<MessageShape<I>, MessageShape<O>>).write(request);
    return await within(withinMs, this.next(), "control did not confirm in time");
  }

  async next(): Promise<MessageShape<O>> {
    while (!this.came.length && !this.ended) {
      await new Promise<void>((resolve) => {
        this.waiting = resolve;
      });
    }
    const message = this.came.shift();
    if (message !== undefined) return message;
    throw this.ended ?? new Unconfirmed("control ended the stream");
  }

  cancel(): void {
    this.call.on("error", () => undefined);
    this.call.cancel();
  }
}

export class ControlClient {
  private readonly client: grpc.Client;

  constructor(
    address: string,
    private readonly token: Token | undefined,
  ) {
    this.client = new grpc.Client(address, grpc.credentials.createInsecure(), OPTIONS);
  }

  close(): void {
    this.client.close();
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageShape<I>,
    withinMs: number,
  ): Promise<MessageShape<O>> {
    const [path, serialize, deserialize] = codecs<I, O>(method);
    return await new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + withinMs };
      this.client.makeUnaryRequest(
        path,
        serialize,
        deserialize,
        request,
        this.metadata(),
        options,
        (error, answer) => {
          if (error) reject(error);
          else resolve(answer as MessageShape<O>);
        },
      );
    });
  }

  exchange<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
    headers: ReadonlyMap<string, Uint8Array>,
  ): Exchange<I, O> {
    const [path, serialize, deserialize] = codecs<I, O>(method);
    const metadata = this.metadata();
    for (const [name, value] of headers) metadata.set(name, Buffer.from(value));
    return new Exchange<I, O>(
      this.client.makeBidiStreamRequest(path, serialize, deserialize, metadata),
    );
  }

  watch<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageShape<I>,
  ): Exchange<I, O> {
    const [path, serialize, deserialize] = codecs<I, O>(method);
    return new Exchange<I, O>(
      this.client.makeServerStreamRequest(path, serialize, deserialize, request, this.metadata()),
    );
  }

  private metadata(): grpc.Metadata {
    const metadata = new grpc.Metadata();
    if (this.token) metadata.set(TOKEN_HEADER, this.token.bearer);
    return metadata;
  }
}

function codecs<I extends DescMessage, O extends DescMessage>(
  method: DescMethod,
): [string, (message: MessageShape<I>) => Buffer, (wire: Buffer) => MessageShape<O>] {
  const path = `/${method.parent.typeName}/${method.name}`;
  const serialize = (message: Message) => Buffer.from(toBinary(method.input, message));
  const deserialize = (wire: Buffer) => fromBinary(method.output, wire) as MessageShape<O>;
  return [path, serialize, deserialize];
}
