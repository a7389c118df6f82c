// Threads that work, and what becomes of work that does not end well.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";

import { OutOfMemory, ThreadLost, Threads } from "../../src/kit/threads.js";

const FOREVER = new AbortController().signal;

function threads(context: TestContext, countMax = 1): Threads {
  const made = new Threads(new URL("./spinner.js", import.meta.url), {
    countMax,
    memoryMibMax: 64,
    idleMs: 60_000,
  });
  context.after(() => made.close());
  return made;
}

test("work comes back, in turn", async (context) => {
  const own = threads(context);
  const deeds = ["a", "b", "c"];
  assert.deepEqual(await Promise.all(deeds.map((deed) => own.run({ deed }, FOREVER))), deeds);
});

test("what fails says why, and the thread goes on", async (context) => {
  const own = threads(context);
  await assert.rejects(own.run({ deed: "throw" }, FOREVER), /as asked/);
  assert.equal(await own.run({ deed: "a" }, FOREVER), "a");
});

test("work that takes too much memory ends alone", async (context) => {
  const own = threads(context);
  await assert.rejects(own.run({ deed: "hoard" }, FOREVER), OutOfMemory);
  assert.equal(await own.run({ deed: "a" }, FOREVER), "a");
});

test("work whose caller is gone is ended, and makes room", async (context) => {
  const own = threads(context);
  const caller = new AbortController();
  const spinning = own.run({ deed: "spin" }, caller.signal);
  const waiting = own.run({ deed: "a" }, FOREVER);
  const givenUp = new AbortController();
  const other = own.run({ deed: "b" }, givenUp.signal);
  givenUp.abort(new Error("given up"));
  await assert.rejects(other, /given up/);
  caller.abort(new Error("gone"));
  await assert.rejects(spinning, /gone/);
  assert.equal(await waiting, "a");
});

test("a thread that ends is another one's begin", async (context) => {
  const own = threads(context);
  await assert.rejects(own.run({ deed: "exit" }, FOREVER), ThreadLost);
  assert.equal(await own.run({ deed: "a" }, FOREVER), "a");
});
