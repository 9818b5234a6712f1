// What the scripts beside this file share: a run of named checks, bounded in time.

/**
 * Runs the checks in their order and ends the process: exit code 0 when all passed, 1 at the first that failed
 * or when the deadline passed. Ends it by force, since a failed check may leave sockets or a browser behind.
 *
 * @param {Record<string, () => Promise<void>>} checks by what they state
 * @param {{ seconds?: number, onFailure?: () => unknown }} options
 */
export async function run(checks, { seconds = 60, onFailure = () => {} } = {}) {
  let current;
  setTimeout(() => {
    console.error(`FAILED ${current}: not done within the ${seconds} s that all checks have together`);
    process.exit(1);
  }, seconds * 1000);

  for ([current] of Object.entries(checks)) {
    try {
      await checks[current]();
      console.log(`ok     ${current}`);
    } catch (error) {
      console.error(`FAILED ${current}\n${error.stack}`);
      // May fail in its turn, of which nothing more is to be learned.
      await Promise.resolve().then(onFailure).catch(() => {});
      process.exit(1);
    }
  }
  process.exit(0);
}

/** The command line's arguments, or the usage on standard error and exit code 1. */
export function parameters(...names) {
  const values = process.argv.slice(2);
  if (values.length !== names.length) {
    console.error(`usage: node ${process.argv[1]} ${names.join(" ")}`);
    process.exit(1);
  }
  return values;
}
