// Where pages are read: one at a time, on a thread with little memory.
import { answering } from "../../kit/threading.js";
import { readPage } from "./page.js";

answering(readPage);
