// Does on its thread what a test says.
import { answering } from "../../src/kit/threading.js";

answering((input: { readonly deed: string }) => {
  if (input.deed === "spin") for (;;);
  if (input.deed === "throw") throw new Error("as asked");
  if (input.deed === "exit") process.exit(3);
  const held: number[][] = [];
  while (input.deed === "hoard") held.push(new Array<number>(100_000).fill(held.length));
  return input.deed;
});
