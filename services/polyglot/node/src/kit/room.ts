// The calls of one method in progress on one instance: how many there may be, and what ends them
// early.
import { Reason, Refused, draining, ofPlatform, overloaded } from "./failure.js";
import type { Refusal } from "./failure.js";
import type { Method } from "./contract.js";
import { Priority } from "../../gen/tandem/options/v1/options_pb.js";

// One seat in so many, and at least one, is not for batch calls.
const KEPT_SHARE = 4;

/**
 * One call in progress. `signal` fires when it is over early, with the Refused that says why, if
 * somebody here ended it.
 */
export class Stay {
  private readonly ending = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private onSeat: () => void = () => undefined;
  readonly seated = new Promise<void>((resolve) => {
    this.onSeat = resolve;
  });

  constructor(method: Method) {
    const ms = method.deadlineMs;
    if (ms !== undefined) this.timer = setTimeout(() => this.end(late(ms)), ms);
  }

  get signal(): AbortSignal {
    return this.ending.signal;
  }

  /** It has its seat. */
  sit(): void {
    this.onSeat();
  }

  /** Ends it with that answer. */
  end(refusal: Refusal): void {
    this.abort(new Refused(refusal));
  }

  /** Its caller is gone, so that nobody hears an answer. */
  abandon(): void {
    this.abort(new Error("the caller is gone"));
  }

  /** It is over. */
  close(): void {
    clearTimeout(this.timer);
  }

  private abort(why: Error): void {
    clearTimeout(this.timer);
    this.ending.abort(why);
  }
}

export class Room {
  private readonly stays = new Set<Stay>();
  /** Interactive calls, each of which has the next seat that is left. */
  private readonly waiting: Stay[] = [];
  private shutAs: Refusal | undefined;
  private policyMax = 0;

  constructor(readonly method: Method) {}

  /** Throws Refused where there is no room. The call has a seat once its `seated` resolves. */
  enter(priority: Priority): Stay {
    if (this.shutAs !== undefined) throw new Refused(this.shutAs);
    const most = this.callsMax;
    let free = most - this.stays.size - this.waiting.length;
    if (priority === Priority.BATCH && most > 1) free -= Math.max(1, Math.floor(most / KEPT_SHARE));
    const mayWait = priority === Priority.INTERACTIVE && this.waiting.length < most;
    if (free <= 0 && !mayWait) throw new Refused(overloaded(most));
    const stay = new Stay(this.method);
    this.waiting.push(stay);
    this.seat();
    return stay;
  }

  leave(stay: Stay): void {
    stay.close();
    this.stays.delete(stay);
    const place = this.waiting.indexOf(stay);
    if (place >= 0) this.waiting.splice(place, 1);
    this.seat();
  }

  /** In progress. */
  get calls(): number {
    return this.stays.size;
  }

  /** What policy lets in, where that is less than the contract does; 0: as the contract says. */
  limit(callsMax: number): void {
    this.policyMax = callsMax;
    this.seat();
  }

  /** Lets nothing in, and ends what has no end of its own; other calls in progress may finish. */
  close(refusal: Refusal): void {
    this.shutAs = refusal;
    for (const one of [...this.waiting]) one.end(refusal);
    this.endEndless(refusal);
  }

  /** Nobody is there to answer: all calls end. */
  shut(refusal: Refusal): void {
    this.close(refusal);
    for (const one of this.stays) one.end(refusal);
  }

  reopen(): void {
    this.shutAs = undefined;
  }

  /** Ends what has no end of its own and would use up all of a draining server's grace. */
  drain(): void {
    this.endEndless(draining());
  }

  /** Infinity where neither contract nor policy has a limit. */
  private get callsMax(): number {
    return Math.min(...[this.method.callsMax, this.policyMax].filter((one) => one > 0));
  }

  private seat(): void {
    while (this.waiting.length && this.stays.size < this.callsMax) {
      const stay = this.waiting.shift() as Stay;
      this.stays.add(stay);
      stay.sit();
    }
  }

  private endEndless(refusal: Refusal): void {
    if (this.method.deadlineMs !== undefined) return;
    for (const one of this.stays) one.end(refusal);
  }
}

function late(ms: number): Refusal {
  const metadata = { deadline_s: ms / 1000 };
  return ofPlatform(Reason.DEADLINE_EXCEEDED, "the method's own deadline passed", metadata);
}
