/*
 * The tap's queue in Node.js: one file for each process, one row a line, in a folder that processes share. A process
 * that starts takes over the files of processes that ended. Written synchronously, so that a kill loses at most the line
 * being written. zim-tap.js loads it from its own folder, and uses memory without it.
 */
"use strict";

const { randomUUID } = require("node:crypto");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const OWNER_ONLY = { mode: 0o600 };
const FOLDER = [".local", "state", "zimwatch-tap"];
const LONGEST_NAME = 100;

const own = new Set(); // the files of this process

const lines = (rows) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");

function isRunning(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code !== "ESRCH"; // it runs as another user
  }
}

/* `name` separates the queues of different servers. Throws if the folder can't be written. */
module.exports = function createFile(name, folder = path.join(os.homedir(), ...FOLDER)) {
  const prefix = `${encodeURIComponent(name).slice(-LONGEST_NAME)}.`;
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });

  function newFile() {
    const file = `${prefix}${process.pid}.${randomUUID()}.ndjson`;
    own.add(file);
    return path.join(folder, file);
  }

  function isLeft(file) {
    if (!file.startsWith(prefix) || !file.endsWith(".ndjson") || own.has(file)) return false;
    const pid = Number.parseInt(file.slice(prefix.length), 10);
    return pid === process.pid || !isRunning(pid); // pids are reused
  }

  const mine = newFile();
  let isStale = false; // a write failed, and the file lacks rows

  function replace(rows) {
    if (rows.length === 0) {
      fs.rmSync(mine, { force: true });
    } else {
      fs.writeFileSync(`${mine}.new`, lines(rows), OWNER_ONLY);
      fs.renameSync(`${mine}.new`, mine);
    }
  }

  /* Appends `more`, the last of `rows`, or writes all of `rows` without it. */
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
      const file = newFile();
      try {
        fs.renameSync(path.join(folder, found), file); // only one process succeeds
        taken.push(file);
        for (const line of fs.readFileSync(file, "utf8").split("\n").filter(Boolean)) {
          try {
            rows.push(JSON.parse(line));
          } catch {
            // half a line: the process was killed while writing
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
