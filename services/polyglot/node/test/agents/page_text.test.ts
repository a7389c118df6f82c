// Pages as readers see them, whatever their markup is like.
import assert from "node:assert/strict";
import { test } from "node:test";

import { charsetSaid, decoded } from "../../src/agents/page_text/charset.js";
import { readPage } from "../../src/agents/page_text/page.js";
import type { Asked, PageRead } from "../../src/agents/page_text/page.js";

const ARTICLE =
  "The quick brown fox jumps over the lazy dog, and nobody minds, for it is a fine day in the fields. ".repeat(
    6,
  );

function page(markup: string | Uint8Array, asked: Partial<Asked> = {}): PageRead {
  const content = typeof markup === "string" ? Buffer.from(markup) : markup;
  const absent = {
    charset: "",
    baseUrl: "",
    wantsArticle: false,
    linksMax: 100,
    textCharsMax: 1_000_000,
  };
  const read = readPage({ ...absent, ...asked, content });
  assert.ok("text" in read, "it was not read");
  return read;
}

test("blocks, list items and rows stand in lines of their own", () => {
  const markup =
    "<h1>One</h1><p>Two  <b>three</b>,\n four.</p><ul><li>five<li>six</ul><table><tr><th>a<th>b<tr><td>1<td>2</table>seven<br>eight";
  assert.equal(
    page(markup).text,
    "One\n\nTwo three, four.\n\nfive\nsix\n\na\tb\n1\t2\n\nseven\neight",
  );
});

test("white space counts only where it is preformatted", () => {
  assert.equal(page("<p> a \n b </p><pre>x\n  y\n</pre><p>z").text, "a b\n\nx\n  y\n\nz");
  assert.equal(page("<p>a<b>b</b> <i>c</i>&nbsp;d").text, "ab c d");
});

test("what no browser shows is left out", () => {
  const unseen = [
    "<script>x()</script>",
    "<style>p{}</style>",
    "<noscript>on</noscript>",
    "<template>t</template>",
    "<p hidden>h</p>",
    "<p aria-hidden=true>a</p>",
    '<p style="color:red; DISPLAY : none">d</p>',
    "<!-- c -->",
    "<iframe>f</iframe>",
    "<svg><title>s</title><text>v</text></svg>",
    "<textarea>w</textarea>",
  ];
  assert.equal(page(`${unseen.join("")}<p>seen`).text, "seen");
});

test("characters that are not for the eye are gone", () => {
  assert.equal(page("<p>a\u0007b\u202ec\u2066d\ufeffe").text, "abcde");
});

test("markup that is broken is read as browsers read it", () => {
  assert.equal(
    page("<p>one<p>two</div><b><i>three</b>four</i><td>five").text,
    "one\n\ntwothreefourfive",
  );
  assert.equal(page("<<p>a</p><p class=>b</p><p").text, "<\n\na\n\nb");
  assert.equal(page("").text, "");
  assert.equal(page(Buffer.from([0, 1, 2, 255, 254])).links.length, 0);
});

test("a page tells its title, language and description", () => {
  const read = page(
    '<html lang="pt-BR"><head><svg><title>no</title></svg><title> A\n title </title><meta name=Description content="About it."><body>x',
  );
  assert.deepEqual(
    [read.title, read.language, read.description],
    ["A title", "pt-BR", "About it."],
  );
  const other = page(
    '<html lang="<b>"><meta property="og:title" content="T"><meta property="og:description" content="D">',
  );
  assert.deepEqual([other.title, other.language, other.description], ["T", "", "D"]);
});

test("links are absolute, once each, in the order of their first places", () => {
  const markup = `<a href="/b?x=1#part">Bee</a> <a href="a.html" title="Tip"><img alt="Picture"></a> <a rel="nofollow" href="/b?x=1">again</a>
    <a href="//other.example/z" rel="ugc">u</a> <a href="mailto:a@b.c">m</a> <a href="javascript:alert(1)">j</a> <a href="#here">h</a> <a href="http://[">bad</a>`;
  const read = page(markup, { baseUrl: "https://site.example/dir/page.html" });
  assert.deepEqual(read.links, [
    { url: "https://site.example/b?x=1", text: "Bee", title: "", nofollow: false, linksCount: 2 },
    {
      url: "https://site.example/dir/a.html",
      text: "Picture",
      title: "Tip",
      nofollow: false,
      linksCount: 1,
    },
    { url: "https://other.example/z", text: "u", title: "", nofollow: true, linksCount: 1 },
  ]);
});

test("links start at the base that the page names", () => {
  const read = page('<base href="/deep/"><a href="x">x</a>', { baseUrl: "https://site.example/a" });
  assert.deepEqual(
    read.links.map((one) => one.url),
    ["https://site.example/deep/x"],
  );
  assert.deepEqual(
    page('<a href="x">x</a><a href="http://s.example">y</a>').links.map((one) => one.url),
    ["http://s.example/"],
  );
});

test("links beyond the limit are counted and not told", () => {
  const markup = Array.from(
    { length: 10 },
    (_, place) => `<a href="http://s.example/${place % 5}">x</a>`,
  ).join("");
  const read = page(markup, { linksMax: 2 });
  assert.deepEqual([read.links.length, read.linksCount], [2, 5]);
});

test("an article stands without what surrounds it", () => {
  const markup = `<title>T</title><nav><a href="/">Home</a><a href="/x">More</a></nav><article><h2>News</h2><p>${ARTICLE}</p><p>${ARTICLE}</p></article><footer>Imprint</footer>`;
  const read = page(markup, { wantsArticle: true });
  assert.equal(read.isArticle, true);
  assert.match(read.text, /^News\n\nThe quick/);
  assert.doesNotMatch(read.text, /Imprint|Home/);
  const whole = page(markup);
  assert.equal(whole.isArticle, false);
  assert.match(whole.text, /^HomeMore\n\nNews[^]*Imprint$/);
});

test("where no article stands out, the whole page is read", () => {
  const read = page("<p>Short.</p>", { wantsArticle: true });
  assert.deepEqual([read.isArticle, read.text], [false, "Short."]);
});

test("the character set is that of the mark, the sender, the page or a guess, in that order", () => {
  const umlaut = Buffer.from([0x3c, 0x70, 0x3e, 0xfc]);
  assert.deepEqual(decoded(umlaut, ""), ["<p>ü", "windows-1252"]);
  assert.deepEqual(decoded(Buffer.from("<p>ü"), ""), ["<p>ü", "utf-8"]);
  assert.equal(decoded(umlaut, "koi8-r")[0], "<p>Э");
  const declared = Buffer.concat([Buffer.from("<meta charset=koi8-r>"), umlaut]);
  assert.equal(decoded(declared, "")[1], "koi8-r");
  const marked = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from("<p>ü", "utf16le")]);
  assert.deepEqual(decoded(marked, "koi8-r"), ["<p>ü", "utf-16le"]);
  assert.equal(decoded(Buffer.from("<meta charset=utf-16><p>x"), "")[1], "utf-8");
  assert.deepEqual(
    ["text/html; charset=latin1", "text/html", "text/html;charset=no"].map(charsetSaid),
    ["windows-1252", "", "unknown"],
  );
});

test("a text that is too long is cut, never within a character", () => {
  const read = page("<p>ab😀cd", { textCharsMax: 3 });
  assert.deepEqual([read.text, read.textTruncated], ["ab", true]);
  assert.equal(page("<p>abc", { textCharsMax: 3 }).textTruncated, false);
});

test("entities do not multiply", () => {
  const bomb = `<!DOCTYPE html [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><p>&b;&amp;&lt;`;
  assert.ok(page(bomb).text.length < 100);
  assert.equal(page("<p>" + "&amp;".repeat(100_000)).text.length, 100_000);
});

test("what is nested without end is refused, and what is nested a lot is read", () => {
  const deep = (depth: number) => Buffer.from("<div>".repeat(depth) + "x");
  assert.equal(page(deep(1500), { wantsArticle: true }).text, "x");
  const asked = {
    charset: "",
    baseUrl: "",
    wantsArticle: true,
    linksMax: 0,
    textCharsMax: 10,
    content: deep(400_000),
  };
  assert.deepEqual(readPage(asked), { depthMax: 2000 });
});

test("no pattern takes longer than the page is long", () => {
  const hostile = [
    "<meta ".repeat(50_000),
    "<a ".repeat(50_000),
    `<p style="${"display:".repeat(50_000)}">x`,
    `<p>${" ".repeat(500_000)}x`,
    "\u00a0".repeat(500_000),
  ];
  for (const one of hostile) {
    const before = performance.now();
    readPage({
      charset: "",
      baseUrl: "",
      wantsArticle: true,
      linksMax: 10,
      textCharsMax: 100_000,
      content: Buffer.from(one),
    });
    assert.ok(performance.now() - before < 5000, one.slice(0, 20));
  }
});
