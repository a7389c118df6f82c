// The kit's parts that need no host.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";

import { shortName } from "../../src/kit/contract.js";
import { buckets, mediaType, textOf } from "../../src/kit/exposition.js";
import { lineOf } from "../../src/kit/log.js";
import { BadOptions, label, read } from "../../src/kit/options.js";
import { nearest } from "../../src/kit/oversight.js";
import { Bell, TooLate, pauseMs, within } from "../../src/kit/signals.js";
import { Durations } from "../../src/kit/tally.js";
import { Token, TokenRefused } from "../../src/kit/token.js";
import { Span, arrived, isSampled } from "../../src/kit/trace.js";

function folder(context: TestContext): string {
  const made = fs.mkdtempSync(join(tmpdir(), "tandem-node-"));
  context.after(() => fs.rmSync(made, { recursive: true }));
  return made;
}

test("a token is made once, for its user alone", (context) => {
  const path = join(folder(context), "deep", "token");
  const [one, other] = [Token.kept(path), Token.kept(path)];
  assert.equal(one.bearer, other.bearer);
  assert.match(one.bearer, /^Bearer [A-Za-z0-9_-]{43}$/);
  assert.equal(fs.statSync(path).mode & 0o777, 0o600);
  assert.ok(one.opens(other.bearer));
  assert.ok(one.opens(other.bearer.replace("Bearer", "bearer")));
  for (const wrong of ["", "Bearer ", "Basic abc", `${other.bearer}x`])
    assert.ok(!one.opens(wrong), wrong);
});

test("a changed token opens at once, and the one before within its grace", (context) => {
  const path = join(folder(context), "token");
  const token = Token.kept(path);
  const [old, next] = [token.bearer, "n".repeat(43)];
  const until = new Date(Date.now() + 60_000).toISOString().replace("Z", "+00:00");
  fs.writeFileSync(
    `${path}.before`,
    `${old.slice(7)} ${until}\n${"p".repeat(43)} 2020-01-01T00:00:00+00:00\n`,
    { mode: 0o600 },
  );
  fs.writeFileSync(path, `${next}\n`, { mode: 0o600 });
  assert.ok(token.opens(`Bearer ${next}`));
  assert.ok(token.opens(old));
  assert.ok(!token.opens(`Bearer ${"p".repeat(43)}`));
});

test("a file that others may touch is no token", (context) => {
  const path = join(folder(context), "token");
  Token.kept(path);
  fs.chmodSync(path, 0o644);
  assert.throws(() => new Token(path), TokenRefused);
  fs.chmodSync(path, 0o600);
  fs.symlinkSync(path, `${path}.link`);
  assert.throws(() => new Token(`${path}.link`), TokenRefused);
  fs.writeFileSync(path, "too short");
  assert.throws(() => new Token(path), TokenRefused);
});

test("names are derived as in every other runtime", () => {
  assert.equal(shortName("tandem.polyglot.v1.PageTextService"), "polyglot-page-text");
  assert.equal(shortName("tandem.edge.v1.HTTPGatewayService"), "edge-http-gateway");
  assert.throws(() => shortName("grpc.health.v1.Health"));
  assert.equal(label("My-Host.local!"), "my-host-local");
});

test("a line of the log is one line of ASCII", () => {
  const line = lineOf("kit", "INFO", "host.serving", { name: "ü\u2028\n" });
  assert.match(line, /^[\x20-\x7e]+$/);
  assert.equal((JSON.parse(line) as { name: string }).name, "ü\u2028\n");
});

test("options are those of every host, and a wrong one is named", () => {
  const said = read([
    "PLAN",
    "--listen",
    "127.0.0.1:0",
    "--control",
    "a:1,b:2",
    "--machine",
    "m",
    "--group",
    "g",
    "--grace-s",
    "2",
  ]);
  assert.deepEqual(
    [said.plan, said.graceMs, said.membership?.hostName, said.membership?.address],
    ["PLAN", 2000, "m-g", "127.0.0.1"],
  );
  assert.equal(read(["PLAN"]).membership, undefined);
  for (const wrong of [
    [],
    ["P", "--listen"],
    ["P", "--none"],
    ["P", "--trace-share", "2"],
    ["P", "--control", "a,a"],
    ["P", "--control", "a", "--listen", "0.0.0.0:0"],
  ]) {
    assert.throws(() => read(wrong), BadOptions, wrong.join(" "));
  }
});

test("figures have the form that Prometheus reads", () => {
  const found = new Durations();
  for (const one of [0.0001, 0.004, 200]) found.add(one);
  const lines = buckets({ m: 'a"b' }, found);
  const text = textOf(
    [{ name: "calls", kind: "histogram", meaning: "M.", samples: lines }],
    mediaType(""),
  );
  assert.match(
    text,
    /^# HELP calls M\.\n# TYPE calls histogram\ncalls_bucket\{m="a\\"b",le="0\.0"\} 0\n/,
  );
  assert.match(text, /le="0\.004"\} 2\n/);
  assert.match(text, /le="\+Inf"\} 3\ncalls_count\{m="a\\"b"\} 3\n/);
  assert.ok(textOf([], mediaType("application/openmetrics-text")).endsWith("# EOF\n"));
});

test("a trace goes on, and what is not well formed begins none", () => {
  const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  assert.equal(arrived(traceparent), traceparent);
  for (const wrong of ["", "00-0-0-01", traceparent.toUpperCase(), 5])
    assert.equal(arrived(wrong), "");
  assert.deepEqual(
    [isSampled(traceparent), isSampled(traceparent.replace(/01$/, "00")), isSampled("")],
    [true, false, false],
  );
  const span = new Span("/s/m", traceparent, undefined);
  assert.equal(span.traceparent.slice(0, 35), traceparent.slice(0, 35));
  assert.notEqual(span.traceparent.slice(36, 52), traceparent.slice(36, 52));
});

test("pauses double, have a bound, and never all end at once", () => {
  assert.equal(pauseMs(1, 1), 100);
  assert.equal(pauseMs(30, 1), 2000);
  assert.ok(pauseMs(30, 0) < pauseMs(30, 1));
});

test("a near name is found, and none that is not near", () => {
  assert.deepEqual(nearest("polyglot-page-txt", ["polyglot-page-text", "utility-files"]), [
    "polyglot-page-text",
  ]);
  assert.deepEqual(nearest("zzz", ["polyglot-page-text"]), []);
});

test("a bell that was rung before is heard", async () => {
  const bell = new Bell();
  bell.ring();
  await within(1000, bell.heard(), "it was not heard");
  await assert.rejects(within(1, bell.heard(), "late"), TooLate);
});
