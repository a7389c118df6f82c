// The gRPC server that the host runs: agents mounted on it, what is no agent beside them, and an orderly end.
import { create, toBinary } from "@bufbuild/protobuf";
import type { DescMessage, Message, MessageInitShape } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";

import { Priority } from "../../gen/tandem/options/v1/options_pb.js";
import type { Contract, Method } from "./contract.js";
import { AgentFailure, Code, Reason, Refused, ofAgent, ofPlatform, restarting, trailers } from "./failure.js";
import type { Refusal } from "./failure.js";
import { Logger } from "./log.js";
import { Report } from "./report.js";
import type { Served } from "./report.js";
import type { Stay } from "./room.js";
import { Seat } from "./seat.js";
import type { AnyServicer, Context } from "./seat.js";
import type { Token } from "./token.js";
import { HEADER as TOKEN_HEADER } from "./token.js";
import * as trace from "./trace.js";
import { checked, parse } from "./validation.js";
import type { Parsed } from "./validation.js";

export const INSTANCE_HEADER = "x-tandem-instance";
const PRIORITY_HEADER = "x-tandem-priority";
const PRIORITIES = new Map([
  ["interactive", Priority.INTERACTIVE],
  ["standard", Priority.STANDARD],
  ["batch", Priority.BATCH],
]);
const LOGGER = new Logger("tandemkit.rpc");
const PATH_LENGTH_MAX = 200;
const KEEPALIVE = { "grpc.max_concurrent_streams": 1000 };

type Incoming = grpc.ServerUnaryCall<Parsed, Message> | grpc.ServerReadableStream<Parsed, Message> | grpc.ServerWritableStream<Parsed, Message> | grpc.ServerDuplexStream<Parsed, Message>;
type Streaming = grpc.ServerWritableStream<Parsed, Message> | grpc.ServerDuplexStream<Parsed, Message>;

/** Instances of one contract: the default one, and those that answer where a call says their name. */
class Station {
  readonly seats = new Map<string, Seat>();

  constructor(readonly contract: Contract) {}

  /** Never another instance than the call asks for. Throws Refused. */
  seat(instance: string): Seat {
    const found = instance ? this.seats.get(instance) : this.seats.values().next().value;
    if (found === undefined) throw new Refused(restarting());
    return found;
  }
}

export class Server {
  private readonly server: grpc.Server;
  private readonly stations = new Map<string, Station>();
  private readonly publicPaths = new Set<string>();
  private readonly publicServices = new Set<string>();
  private policy: ReadonlyMap<string, number> = new Map();

  /** Whoever calls has to show `token`, but for what is public; undefined lets everybody in. */
  constructor(
    private readonly report: Report,
    private readonly token: Token | undefined,
  ) {
    this.server = new grpc.Server({ ...KEEPALIVE, interceptors: [this.gate] });
  }

  get services(): string[] {
    return [...this.stations.keys()];
  }

  /** A place for one more instance of an agent; the first of its contract is the default one. */
  mount(contract: Contract, instance: string): Seat {
    let station = this.stations.get(contract.service);
    if (station === undefined) {
      station = new Station(contract);
      this.stations.set(contract.service, station);
      for (const method of contract.methods) this.register(method, station, this.report);
    }
    const seat = new Seat(contract, instance);
    station.seats.set(instance, seat);
    this.limit(this.policy);
    return seat;
  }

  /** Gives the place up for good. */
  unmount(seat: Seat): void {
    this.stations.get(seat.contract.service)?.seats.delete(seat.instance);
  }

  /** Adds a contract of ours that is no agent: it has no health, and its calls are not counted. */
  plumb(contract: Contract, servicer: AnyServicer): Seat {
    const station = new Station(contract);
    const seat = new Seat(contract, contract.name);
    seat.take(servicer);
    station.seats.set(seat.instance, seat);
    for (const method of contract.methods) this.register(method, station, new Report());
    return seat;
  }

  /** Adds a service that is none of our contracts; one that is public asks nobody for the token. */
  also(definition: grpc.ServiceDefinition, handlers: grpc.UntypedServiceImplementation, isPublic: boolean): void {
    this.server.addService(definition, handlers);
    const [first] = Object.values(definition);
    if (isPublic && first) this.publicServices.add(serviceOf(first.path));
  }

  /** Calls of one method in progress that policy lets in, by service; others have their contract's limits alone. */
  limit(callsMax: ReadonlyMap<string, number>): void {
    this.policy = callsMax;
    for (const [service, station] of this.stations) {
      for (const seat of station.seats.values()) {
        for (const room of seat.rooms.values()) room.limit(callsMax.get(service) ?? 0);
      }
    }
  }

  /** Listens, and returns the port, which is the kernel's choice for port 0. */
  async start(address: string, besides: string): Promise<number> {
    grpc.addAdminServicesToServer(this.server);
    const port = await this.bind(address);
    if (besides) await this.bind(`unix:${besides}`);
    return port;
  }

  /** Takes no new calls, lets those in progress finish for `graceMs`, then cancels them. */
  async drain(graceMs: number): Promise<void> {
    for (const station of this.stations.values()) {
      for (const seat of station.seats.values()) {
        for (const room of seat.rooms.values()) room.drain();
      }
    }
    const timer = setTimeout(() => this.server.forceShutdown(), graceMs);
    await new Promise<void>((resolve) => {
      this.server.tryShutdown(() => resolve());
    });
    clearTimeout(timer);
  }

  private async bind(address: string): Promise<number> {
    return await new Promise((resolve, reject) => {
      this.server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, port) => {
        if (error) reject(error);
        else resolve(port);
      });
    });
  }

  /** Stands before everything else, so nothing of a refused call is read. */
  private readonly gate: grpc.ServerInterceptor = (method, call) => {
    const responder = new grpc.ResponderBuilder().withStart((next) => {
      const listener = new grpc.ServerListenerBuilder().withOnReceiveMetadata((metadata, proceed) => {
        const refusal = this.refusal(method.path, metadata);
        if (refusal === undefined) proceed(metadata);
        else this.refuse(method.path, call, refusal);
      });
      next(listener.build());
    });
    return new grpc.ServerInterceptingCall(call, responder.build());
  };

  private refusal(path: string, metadata: grpc.Metadata): Refusal | undefined {
    if (this.token === undefined || this.publicPaths.has(path)) return undefined;
    const [shown] = metadata.get(TOKEN_HEADER);
    if (shown !== undefined && this.token.opens(shown.toString())) return undefined;
    if (this.publicServices.has(serviceOf(path))) return undefined;
    return shown === undefined
      ? ofPlatform(Reason.TOKEN_MISSING, "the call shows no token; send the header `authorization: Bearer TOKEN`, where TOKEN is what the fleet's $TANDEM_HOME/token holds (`./tandem env` names the file)")
      : ofPlatform(Reason.TOKEN_WRONG, "the call shows another token than this fleet's; read the fleet's $TANDEM_HOME/token again (`./tandem env` names the file)");
  }

  private refuse(path: string, call: grpc.ServerInterceptingCallInterface, refusal: Refusal): void {
    const said = { code: Code[refusal.code], reason: refusal.reason, peer: call.getPeer() };
    LOGGER.info("rpc.refused", { rpc: path.slice(0, PATH_LENGTH_MAX), ...said });
    call.sendStatus({ code: refusal.code, details: refusal.message, metadata: trailers(refusal) });
  }

  private register(method: Method, station: Station, report: Report): void {
    if (method.isPublic) this.publicPaths.add(method.path);
    const door = new Door(method, station, report);
    const serialize = (message: Message) => Buffer.from(toBinary(method.desc.output, message));
    const deserialize = (wire: Buffer) => parse(method.desc.input, wire);
    const definition = {
      path: method.path,
      requestStream: method.streamsIn,
      responseStream: method.streamsOut,
      requestSerialize: unused,
      requestDeserialize: deserialize,
      responseSerialize: serialize,
      responseDeserialize: unused,
    };
    this.server.addService({ [method.name]: definition } as grpc.ServiceDefinition, { [method.name]: door.handler });
  }
}

function unused(): never {
  throw new Error("a server neither sends requests nor reads responses");
}

function serviceOf(path: string): string {
  return path.slice(1, path.indexOf("/", 1));
}

/** What happens to every call of one method between the wire and its agent. */
class Door {
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
    return ((call: Incoming, callback: grpc.sendUnaryData<Message>) => void this.answer(call, callback)) as grpc.UntypedHandleCall;
  }

  private async answer(call: Incoming, callback: grpc.sendUnaryData<Message>): Promise<void> {
    const refusal = await this.serve(call, async (run, served, signal) => {
      const made = await orEnded(signal, run as Promise<Message>);
      const response = create(this.method.desc.output, made as MessageInitShape<DescMessage>);
      callback(null, response);
      served.answered(0);
    });
    if (refusal) callback({ code: refusal.code, details: refusal.message, metadata: trailers(refusal) });
  }

  private async pour(call: Streaming): Promise<void> {
    const refusal = await this.serve(call, async (run, served, signal) => {
      const responses = (run as AsyncIterable<Message>)[Symbol.asyncIterator]();
      try {
        while (true) {
          const next = await orEnded(signal, responses.next());
          if (next.done) break;
          const response = create(this.method.desc.output, next.value as MessageInitShape<DescMessage>);
          if (!call.write(response)) await orEnded(signal, drained(call));
        }
      } finally {
        void responses.return?.().catch(() => undefined);
      }
      call.end();
      served.answered(0);
    });
    if (refusal) call.emit("error", { code: refusal.code, details: refusal.message, metadata: trailers(refusal) });
  }

  /** Runs the agent for the call; returns how the call is to be refused, if it is. */
  private async serve(
    call: Incoming,
    take: (run: Promise<Message> | AsyncIterable<Message>, served: Served, signal: AbortSignal) => Promise<void>,
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
        await take(this.run(seat, call, { signal: stay.signal, traceparent: served.traceparent }), served, stay.signal);
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

  private run(seat: Seat, call: Incoming, context: Context): Promise<Message> | AsyncIterable<Message> {
    const implementation = seat.implementation(this.method.desc.localName);
    const input = this.method.streamsIn
      ? this.requests(call as grpc.ServerReadableStream<Parsed, Message>)
      : checked(this.method.desc.input, (call as grpc.ServerUnaryCall<Parsed, Message>).request);
    return implementation(input as never, context);
  }

  /** A request stream whose messages each passed the rules. */
  private async *requests(call: grpc.ServerReadableStream<Parsed, Message>): AsyncGenerator<Message> {
    for await (const one of call as AsyncIterable<Parsed>) yield checked(this.method.desc.input, one);
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
  throw new Refused(ofPlatform(Reason.INVALID_REQUEST, message, {}, { violations: [{ field: PRIORITY_HEADER, description }] }));
}

/** What `work` comes to; rejects as soon as the call is ended early, whatever the agent does about it. */
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
