/*
 * Where the tap's events wait in Node.js: a file of this process alone, one row a line, in a folder that processes
 * share. A process that starts takes over what those that have ended left there. Written synchronously, so that a kill
 * costs at most the line that is being written. zim-tap.js loads it from beside itself, and keeps to memory without it.
 */
"use strict";

const { randomUUID } = require("node:crypto");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const OWNER_ONLY = { mode: 0o600 };
const FOLDER = [".local", "state", "zimwatch-tap"];
const LONGEST_NAME = 100;

const made = new Set(); // the files of this process

const lines = (rows) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");

function isRunning(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code !== "ESRCH"; // it runs, and is another user's
  }
}

/* `name` keeps the events of one server apart. Throws where the folder can't be written to. */
module.exports = function createFile(name, folder = path.join(os.homedir(), ...FOLDER)) {
  const prefix = `${encodeURIComponent(name).slice(-LONGEST_NAME)}.`;
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });

  function unused() {
    const file = `${prefix}${process.pid}.${randomUUID()}.ndjson`;
    made.add(file);
    return path.join(folder, file);
  }

  function isLeft(file) {
    if (!file.startsWith(prefix) || !file.endsWith(".ndjson") || made.has(file)) return false;
    const pid = Number.parseInt(file.slice(prefix.length), 10);
    return pid === process.pid || !isRunning(pid); // an earlier process may have had our number
  }

  const mine = unused();
  let isStale = false; // the file lacks what is in memory

  function replace(rows) {
    if (rows.length === 0) {
      fs.rmSync(mine, { force: true });
    } else {
      fs.writeFileSync(`${mine}.new`, lines(rows), OWNER_ONLY);
      fs.renameSync(`${mine}.new`, mine);
    }
  }

  /* Writes `more`, which are the last of `rows`, or all where `more` is not given. */
  function save(rows, more) {
    const whole = isStale || !more;
    isStale = true;
    if (whole) replace(rows);
    else fs.appendFileSync(mine, lines(more), OWNER_ONLY);
    isStale = false;
  }

  function take() {
    const taken = [];
    const rows = [];
    for (const found of fs.readdirSync(folder).filter(isLeft)) {
      const file = unused();
      try {
        fs.renameSync(path.join(folder, found), file); // of two processes one succeeds
        taken.push(file);
        for (const line of fs.readFileSync(file, "utf8").split("\n").filter(Boolean)) {
          try {
            rows.push(JSON.parse(line));
          } catch {
            // half a line: its process was killed as it wrote
          }
        }
      } catch {
        // another process has it
      }
    }
    replace(rows);
    for (const file of taken) fs.rmSync(file, { force: true });
    return rows;
  }

  return { left: take(), save };
};
