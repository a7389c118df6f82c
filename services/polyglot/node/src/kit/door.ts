// What happens to every call of one method between the wire and its agent.
import { create } from "@bufbuild/protobuf";
import type { DescMessage, Message, MessageInitShape } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";

import { Priority } from "../../gen/tandem/options/v1/options_pb.js";
import type { Contract, Method } from "./contract.js";
import {
  AgentFailure,
  Reason,
  Refused,
  ofAgent,
  ofPlatform,
  restarting,
  trailers,
} from "./failure.js";
import type { Refusal } from "./failure.js";
import type { Report, Served } from "./report.js";
import type { Stay } from "./room.js";
import type { Context, Seat } from "./seat.js";
import * as trace from "./trace.js";
import { checked } from "./validation.js";
import type { Parsed } from "./validation.js";

const INSTANCE_HEADER = "x-tandem-instance";
const PRIORITY_HEADER = "x-tandem-priority";
const PRIORITIES = new Map([
  ["interactive", Priority.INTERACTIVE],
  ["standard", Priority.STANDARD],
  ["batch", Priority.BATCH],
]);

type Incoming =
  | grpc.ServerUnaryCall<Parsed, Message>
  | grpc.ServerReadableStream<Parsed, Message>
  | grpc.ServerWritableStream<Parsed, Message>
  | grpc.ServerDuplexStream<Parsed, Message>;
type Streaming =
  grpc.ServerWritableStream<Parsed, Message> | grpc.ServerDuplexStream<Parsed, Message>;

/**
 * Instances of one contract: the default one, and those that answer where a call says their name.
 */
export class Station {
  readonly seats = new Map<string, Seat>();
  /** Answers where a call says no name. */
  unnamed: Seat | undefined;

  constructor(readonly contract: Contract) {}

  /** Never another instance than the call asks for. Throws Refused. */
  seat(instance: string): Seat {
    const found = instance ? this.seats.get(instance) : this.unnamed;
    if (found === undefined) throw new Refused(restarting());
    return found;
  }
}

export class Door {
  private readonly tally;

  constructor(
    private readonly method: Method,
    private readonly station: Station,
    private readonly report: Report,
  ) {
    this.tally = report.tally(method);
  }

  /** In the form that gRPC wants for the method's kind. */
  get handler(): grpc.UntypedHandleCall {
    if (this.method.streamsOut) {
      return ((call: Streaming) => void this.pour(call)) as grpc.UntypedHandleCall;
    }
    return ((call: Incoming, callback: grpc.sendUnaryData<Message>) =>
      void this.answer(call, callback)) as grpc.UntypedHandleCall;
  }

  private async answer(call: Incoming, callback: grpc.sendUnaryData<Message>): Promise<void> {
    const refusal = await this.serve(call, async (run, served, signal) => {
      const made = await orEnded(signal, run as Promise<Message>);
      const response = create(this.method.desc.output, made as MessageInitShape<DescMessage>);
      callback(null, response);
      served.answered(0);
    });
    if (refusal)
      callback({ code: refusal.code, details: refusal.message, metadata: trailers(refusal) });
  }

  private async pour(call: Streaming): Promise<void> {
    const refusal = await this.serve(call, async (run, served, signal) => {
      const responses = (run as AsyncIterable<Message>)[Symbol.asyncIterator]();
      try {
        while (true) {
          const next = await orEnded(signal, responses.next());
          if (next.done) break;
          const response = create(
            this.method.desc.output,
            next.value as MessageInitShape<DescMessage>,
          );
          if (!call.write(response)) await orEnded(signal, drained(call));
        }
      } finally {
        void responses.return?.().catch(() => undefined);
      }
      call.end();
      served.answered(0);
    });
    if (refusal)
      call.emit("error", {
        code: refusal.code,
        details: refusal.message,
        metadata: trailers(refusal),
      });
  }

  /** Runs the agent for the call; returns how the call is to be refused, if it is. */
  private async serve(
    call: Incoming,
    take: (
      run: Promise<Message> | AsyncIterable<Message>,
      served: Served,
      signal: AbortSignal,
    ) => Promise<void>,
  ): Promise<Refusal | undefined> {
    const instance = call.metadata.get(INSTANCE_HEADER)[0]?.toString() ?? "";
    const served = this.report.begin(this.method, this.tally, {
      peer: call.getPeer(),
      instance,
      traceparent: call.metadata.get(trace.HEADER)[0],
      untilMs: Number(call.getDeadline()),
    });
    let stay: Stay | undefined;
    try {
      const seat = this.station.seat(instance);
      const room = seat.room(this.method.name);
      stay = room.enter(priorityOf(call, this.method));
      seat.calledMs = Date.now();
      const inside = stay;
      (call as NodeJS.EventEmitter).on("cancelled", () => inside.abandon());
      try {
        await orEnded(stay.signal, stay.seated);
        await take(
          this.run(seat, call, { signal: stay.signal, traceparent: served.traceparent }),
          served,
          stay.signal,
        );
      } finally {
        room.leave(stay);
      }
      return undefined;
    } catch (error) {
      if (call.cancelled) {
        served.cancelled();
        return undefined;
      }
      const refusal = this.worded(error, served);
      served.refused(refusal);
      return refusal;
    }
  }

  private run(
    seat: Seat,
    call: Incoming,
    context: Context,
  ): Promise<Message> | AsyncIterable<Message> {
    const implementation = seat.implementation(this.method.desc.localName);
    const input = this.method.streamsIn
      ? this.requests(call as grpc.ServerReadableStream<Parsed, Message>)
      : checked(this.method.desc.input, (call as grpc.ServerUnaryCall<Parsed, Message>).request);
    return implementation(input as never, context);
  }

  /** A request stream whose messages each passed the rules. */
  private async *requests(
    call: grpc.ServerReadableStream<Parsed, Message>,
  ): AsyncGenerator<Message> {
    for await (const one of call as AsyncIterable<Parsed>)
      yield checked(this.method.desc.input, one);
  }

  /** The one place where an unknown error is met and not passed on. */
  private worded(error: unknown, served: Served): Refusal {
    let cause = error;
    if (error instanceof Refused) return error.refusal;
    if (error instanceof AgentFailure) {
      try {
        return ofAgent(error, this.station.contract.reasons);
      } catch (undeclared) {
        cause = undeclared;
      }
    }
    const message = "the agent failed; its log has the cause under this incident";
    return ofPlatform(Reason.INTERNAL, message, { incident: served.defect(cause) });
  }
}

/** What its caller says, or its contract. Throws Refused for a word that is no class. */
function priorityOf(call: Incoming, method: Method): Priority {
  const [said] = call.metadata.get(PRIORITY_HEADER);
  if (said === undefined) return method.priority;
  const found = PRIORITIES.get(said.toString());
  if (found !== undefined) return found;
  const description = `is none of ${[...PRIORITIES.keys()].join(", ")}`;
  const message = `the header ${PRIORITY_HEADER} ${description}`;
  throw new Refused(
    ofPlatform(
      Reason.INVALID_REQUEST,
      message,
      {},
      { violations: [{ field: PRIORITY_HEADER, description }] },
    ),
  );
}

/**
 * What `work` comes to; rejects as soon as the call is ended early, whatever the agent does about
 * it.
 */
async function orEnded<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  signal.throwIfAborted();
  let end: (() => void) | undefined;
  const ended = new Promise<never>((_resolve, reject) => {
    end = () => reject(signal.reason as Error);
    signal.addEventListener("abort", end);
  });
  try {
    return await Promise.race([work, ended]);
  } finally {
    if (end) signal.removeEventListener("abort", end);
  }
}

async function drained(call: Streaming): Promise<void> {
  await new Promise<void>((resolve) => {
    call.once("drain", resolve);
  });
}
