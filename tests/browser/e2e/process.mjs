// The real programs, each in a folder of its own, on ports the system chooses.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

const built = new URL('../../../target/debug/', import.meta.url).pathname;
const KITH = resolve(process.env.KITH_BIN ?? join(built, 'kith'));
/** A folder of UI files to serve instead of the programs' own copy. */
const UI = process.env.KITH_UI_DIR ? ['--ui-dir', resolve(process.env.KITH_UI_DIR)] : [];
const RELAY = resolve(process.env.KITH_RELAY_BIN ?? join(dirname(KITH), 'kith-relay'));

/** How long a program may take to say what is expected of it. */
const START_MS = 30_000;
/** How long it may take to end after SIGTERM. */
const STOP_MS = 30_000;

/** A folder that goes when `remove` is called. */
export function temporary() {
  const folder = mkdtempSync(join(tmpdir(), 'kith-e2e-'));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Nothing of the caller's own Kith may leak into a test. */
const environment = () => Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('KITH_')));

class Program {
  #child;
  #output = '';
  #log = '';
  #ended;
  #heard = new Set();

  constructor(file, args) {
    if (!existsSync(file)) throw new Error(`${file} is not there; build it, or set KITH_BIN and KITH_RELAY_BIN`);
    this.what = [file, ...args].join(' ');
    this.#child = spawn(file, args, { env: environment(), stdio: ['ignore', 'pipe', 'pipe'] });
    this.#ended = once(this.#child, 'exit');
    const hear = (part) => (piece) => {
      part(String(piece));
      for (const each of this.#heard) each();
    };
    this.#child.stdout.on('data', hear((text) => { this.#output += text; }));
    this.#child.stderr.on('data', hear((text) => { this.#log += text; }));
    const orphaned = () => this.#child.kill('SIGTERM');
    process.once('exit', orphaned);
    this.#child.on('exit', hear(() => process.off('exit', orphaned)));
  }

  /** Waits until standard output matches, from its beginning. */
  async says(pattern) {
    let timer;
    try {
      return await new Promise((done, fail) => {
        const look = () => {
          const match = pattern.exec(this.#output);
          if (match) done(match);
          else if (this.#child.exitCode !== null) fail(this.#failure(`ended with ${this.#child.exitCode}`));
        };
        timer = setTimeout(() => fail(this.#failure(`did not say ${pattern}`)), START_MS);
        this.#heard.add(look);
        look();
      });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the program the way a system does, and insists that it ends well. */
  async stop() {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGTERM');
    const late = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    const [code, signal] = await this.#ended;
    clearTimeout(late);
    if (code !== 0) throw this.#failure(`ended with ${code ?? signal}`);
  }

  #failure(what) {
    return new Error(`${this.what} ${what}\n${this.#output}\n${this.#log.slice(-4000)}`);
  }
}

const LINK = /http:\/\/localhost:\d+\/#login=[\w-]+/;

/** The demonstration: a relay and two people in one process. */
export async function startDemo() {
  const program = new Program(KITH, ['demo', '--no-open', ...UI]);
  const link = async (name) => (await program.says(new RegExp(`${name}\\s+(${LINK.source})`)))[1];
  const links = { ada: await link('Ada'), ben: await link('Ben') };
  await program.says(/Ctrl-C stops/);
  return { links, stop: () => program.stop() };
}

/** A relay of its own, with a key that stays in the folder. */
export async function startRelay(folder) {
  const program = new Program(RELAY, ['run', '--data-dir', folder, '--name', 'Relay of the tests', '--development', 'true', '--listen', '/ip4/127.0.0.1/tcp/0']);
  const [address] = await program.says(/\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\/\w+/);
  return { address, stop: () => program.stop() };
}

/** A node whose profile stays in the folder, so that it can be stopped and started. */
export async function startNode(folder, relay) {
  const program = new Program(KITH, ['up', '--data-dir', folder, '--relay', relay, '--listen', '/ip4/127.0.0.1/tcp/0', '--no-lan', '--no-open', ...UI]);
  const [link] = await program.says(LINK);
  return { link, stop: () => program.stop() };
}
