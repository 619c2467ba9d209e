// Notes in a SQLite file beside this one: they outlive the process.
import { Database } from 'bun:sqlite';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

interface Note {
  id: number;
  text: string;
}

const directory = join(import.meta.dir, 'data');
mkdirSync(directory, { recursive: true });
const database = new Database(join(directory, 'notes.sqlite'));
database.run('PRAGMA journal_mode = WAL');
database.run('CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)');
const everyNote = database.query<Note, []>('SELECT id, text FROM notes ORDER BY id DESC LIMIT 50');
const addNote = database.query<Note, [string]>(
  'INSERT INTO notes (text) VALUES (?) RETURNING id, text',
);
const removeNote = database.query('DELETE FROM notes WHERE id = ?');

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: process.env.PORT,
  routes: {
    '/': () => new Response(page(), { headers: { 'content-type': 'text/html; charset=utf-8' } }),
    '/notes': {
      GET: () => Response.json(everyNote.all()),
      POST: async (request) => {
        const text = (await request.text()).trim();
        if (text === '') return new Response('an empty note\n', { status: 400 });
        const note = addNote.get(text);
        console.log(`note ${note?.id} written`);
        return Response.json(note, { status: 201 });
      },
    },
    '/notes/:id': {
      DELETE: (request) => {
        removeNote.run(request.params.id);
        return new Response(null, { status: 204 });
      },
    },
  },
});
console.log(`notes-sqlite listens on port ${server.port}, ${everyNote.all().length} notes`);

function page(): string {
  const notes = everyNote.all().map(({ text }) => `<li>${Bun.escapeHTML(text)}</li>`);
  return `<!doctype html>
<meta name="viewport" content="width=device-width">
<title>notes</title>
<body style="font: 18px/1.5 system-ui; max-width: 34rem; margin: 3rem auto; padding: 0 1rem">
<h1>Notes</h1>
<form id="form"><input id="text" autofocus required placeholder="A note"> <button>Add</button></form>
<ul>${notes.join('')}</ul>
<script>
  form.onsubmit = async (event) => {
    event.preventDefault();
    await fetch('/notes', { method: 'POST', body: text.value });
    location.reload();
  };
</script>`;
}
