// The calls of one method in progress on one instance: how many there may be, and what ends them early.
import { Reason, Refused, draining, ofPlatform, overloaded } from "./failure.js";
import type { Refusal } from "./failure.js";
import type { Method } from "./contract.js";

/** One call in progress. `signal` fires when it is over early, with the Refused that says why, if somebody here ended it. */
export class Stay {
  private readonly ending = new AbortController();
  private timer: NodeJS.Timeout | undefined;

  constructor(method: Method) {
    const ms = method.deadlineMs;
    if (ms !== undefined) this.timer = setTimeout(() => this.end(late(ms)), ms);
  }

  get signal(): AbortSignal {
    return this.ending.signal;
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
  private shutAs: Refusal | undefined;
  private policyMax = 0;

  constructor(readonly method: Method) {}

  /** Throws Refused where there is no room. */
  enter(): Stay {
    if (this.shutAs !== undefined) throw new Refused(this.shutAs);
    const limits = [this.method.callsMax, this.policyMax].filter((one) => one > 0);
    const most = Math.min(...limits);
    if (this.stays.size >= most) throw new Refused(overloaded(most));
    const stay = new Stay(this.method);
    this.stays.add(stay);
    return stay;
  }

  leave(stay: Stay): void {
    this.stays.delete(stay);
    stay.close();
  }

  /** In progress. */
  get calls(): number {
    return this.stays.size;
  }

  /** What policy lets in, where that is less than the contract does; 0: as the contract says. */
  limit(callsMax: number): void {
    this.policyMax = callsMax;
  }

  /** Lets nothing in, and ends what has no end of its own; other calls in progress may finish. */
  close(refusal: Refusal): void {
    this.shutAs = refusal;
    this.endEndless(refusal);
  }

  /** Nobody is there to answer: all calls end. */
  shut(refusal: Refusal): void {
    this.shutAs = refusal;
    for (const one of this.stays) one.end(refusal);
  }

  reopen(): void {
    this.shutAs = undefined;
  }

  /** Ends what has no end of its own and would use up all of a draining server's grace. */
  drain(): void {
    this.endEndless(draining());
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
