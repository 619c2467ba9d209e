// A real terminal: a window of tmux, in a server of its own.
import { spawnSync } from 'node:child_process';
import { until } from '../processes/until.ts';
import { type Engine, PATH, PROGRAM } from './run.ts';

let count = 0;

export class Terminal implements Disposable {
  readonly #server = `abs-${process.pid}-${(count += 1)}`;
  /** tmux gives its windows the PATH of who opens them, whatever `-e` says. */
  readonly #path: string;

  /** A shell whose prompt is `$ `, in which `runtime` is the command. */
  constructor(width: number, height: number, { engine = 'bun' as Engine, env = {} } = {}) {
    const given: Record<string, string> = { PATH, PS1: '$ ', NO_COLOR: '', ...env };
    this.#path = given.PATH!;
    const variables = Object.entries(given);
    const settings = variables.flatMap(([name, value]) => ['-e', `${name}=${value}`]);
    const size = ['-x', String(width), '-y', String(height)];
    // Without a status line the window is as high as the terminal.
    this.#tmux(
      '-f',
      '/dev/null',
      'new-session',
      '-d',
      ...size,
      ...settings,
      'bash --norc --noprofile',
    );
    this.#tmux('set', '-g', 'status', 'off');
    this.#tmux('resize-window', ...size);
    this.type(`runtime() { ${engine} ${PROGRAM} "$@"; }; clear`);
  }

  #tmux(...args: string[]): string {
    const { status, stdout, stderr } = spawnSync('tmux', ['-L', this.#server, ...args], {
      encoding: 'utf8',
      env: { ...process.env, PATH: this.#path },
    });
    if (status !== 0) throw new Error(`tmux ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  /** Types a line, and Enter. */
  type(line: string): void {
    this.write(line);
    this.press('Enter');
  }

  /** Types text, and no Enter. */
  write(text: string): void {
    this.#tmux('send-keys', '-l', text);
  }

  /** Presses keys by their names: `q`, `C-c`, `Up`. */
  press(...keys: string[]): void {
    this.#tmux('send-keys', ...keys);
  }

  /** What the window shows; with its colours if asked for. */
  screen({ colours = false } = {}): string {
    return this.#tmux('capture-pane', '-p', ...(colours ? ['-e'] : []));
  }

  /** The program in front: `bash`, or what it has started. */
  get program(): string {
    return this.#tmux('display', '-p', '#{pane_current_command}').trim();
  }

  /** Whether the alternate screen is shown, and whether the cursor is. */
  get state() {
    const [alternate, cursor] = this.#tmux('display', '-p', '#{alternate_on} #{cursor_flag}')
      .trim()
      .split(' ');
    return { alternate: alternate === '1', cursor: cursor === '1' };
  }

  get pid(): number {
    return Number(this.#tmux('display', '-p', '#{pane_pid}'));
  }

  resize(width: number, height: number): void {
    this.#tmux('resize-window', '-x', String(width), '-y', String(height));
  }

  async shows(pattern: RegExp): Promise<string> {
    try {
      return await until(`${pattern}`, () => {
        const text = this.screen();
        return pattern.test(text) && text;
      });
    } catch (error) {
      throw new Error(`${(error as Error).message}; it shows\n${this.screen()}`);
    }
  }

  [Symbol.dispose](): void {
    spawnSync('tmux', ['-L', this.#server, 'kill-server']);
  }
}
