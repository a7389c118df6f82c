// Who answers the calls of an agent: its servicer, the one that is built after it, or nobody for a
// while.
import type {
  DescMethodBiDiStreaming,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  Message,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";

import type { Contract } from "./contract.js";
import { Refused, restarting } from "./failure.js";
import type { Refusal } from "./failure.js";
import { Room } from "./room.js";

/** One call, as its agent sees it. */
export interface Context {
  /** Fires when nobody waits for the answer any more: the agent stops working on it. */
  readonly signal: AbortSignal;
  /** What calls on its behalf hand on. */
  readonly traceparent: string;
}

type Implementation<M> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, context: Context) => Promise<MessageInitShape<O>>
    : M extends DescMethodClientStreaming<infer I, infer O>
      ? (requests: AsyncIterable<MessageShape<I>>, context: Context) => Promise<MessageInitShape<O>>
      : M extends DescMethodServerStreaming<infer I, infer O>
        ? (request: MessageShape<I>, context: Context) => AsyncIterable<MessageInitShape<O>>
        : M extends DescMethodBiDiStreaming<infer I, infer O>
          ? (
              requests: AsyncIterable<MessageShape<I>>,
              context: Context,
            ) => AsyncIterable<MessageInitShape<O>>
          : never;

/** What keeps a contract: a function for each of its methods. */
export type Servicer<D extends DescService> = {
  [K in keyof D["method"]]: Implementation<D["method"][K]>;
};

/** The same, as the server calls it: which of the four kinds it is, the contract says. */
export type AnyServicer = Readonly<
  Record<string, (input: never, context: Context) => Promise<Message> | AsyncIterable<Message>>
>;

/** The place of one instance in a server, which outlives its servicers. */
export class Seat {
  readonly rooms: ReadonlyMap<string, Room>;
  private servicer: AnyServicer | undefined;
  /** When its latest call came, by `Date.now()`. */
  calledMs: number | undefined;

  constructor(
    readonly contract: Contract,
    readonly instance: string,
  ) {
    this.rooms = new Map(contract.methods.map((one) => [one.name, new Room(one)]));
    this.leave(restarting());
  }

  room(method: string): Room {
    const found = this.rooms.get(method);
    if (found === undefined) throw new Error(`${this.contract.service} has no ${method}`);
    return found;
  }

  get calls(): number {
    return [...this.rooms.values()].reduce((sum, one) => sum + one.calls, 0);
  }

  /** Throws Refused where nobody sits there. */
  implementation(localName: string): AnyServicer[string] {
    const found = this.servicer?.[localName];
    if (found === undefined) throw new Refused(restarting());
    return found;
  }

  /** Calls go to this one from now on. Throws where it does not keep the contract. */
  take(servicer: AnyServicer): void {
    const lacking = this.contract.methods.find(
      (one) => typeof servicer[one.desc.localName] !== "function",
    );
    if (lacking) throw new Error(`the servicer does not implement its contract: ${lacking.path}`);
    this.servicer = servicer;
    for (const room of this.rooms.values()) room.reopen();
  }

  /** Others are refused until somebody takes it again; calls in progress may finish. */
  close(refusal: Refusal): void {
    for (const room of this.rooms.values()) room.close(refusal);
  }

  /** Calls in progress end, and others are refused, until somebody takes it again. */
  leave(refusal: Refusal): void {
    for (const room of this.rooms.values()) room.shut(refusal);
    this.servicer = undefined;
  }
}
