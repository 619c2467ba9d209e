// A chat over a WebSocket: each message goes to all clients. Connections to /echo get it back
// alone.
const ALL_CLIENTS = 'all clients';

const server = Bun.serve<{ echo: boolean }>({
  hostname: '127.0.0.1',
  port: process.env.PORT,
  fetch(request, server) {
    const { pathname } = new URL(request.url);
    const isSocket = pathname === '/chat' || pathname === '/echo';
    if (isSocket && server.upgrade(request, { data: { echo: pathname === '/echo' } })) return;
    if (pathname !== '/') return new Response('not found\n', { status: 404 });
    return new Response(page, { headers: { 'content-type': 'text/html; charset=utf-8' } });
  },
  websocket: {
    open(socket) {
      if (!socket.data.echo) socket.subscribe(ALL_CLIENTS);
    },
    message(socket, message) {
      if (!socket.data.echo) server.publish(ALL_CLIENTS, message);
      else if (message === 'close, please') socket.close(4321, 'as you asked');
      else socket.send(message);
    },
  },
});
console.log(`chat-websocket listens on port ${server.port}`);

const page = `<!doctype html>
<meta name="viewport" content="width=device-width">
<title>chat</title>
<body style="font: 18px/1.5 system-ui; max-width: 34rem; margin: 3rem auto; padding: 0 1rem">
<h1>Chat</h1>
<p id="state">connecting…</p>
<form id="form"><input id="text" autofocus required placeholder="Say something"> <button>Send</button></form>
<ul id="said"></ul>
<script>
  let socket;
  connect();
  function connect() {
    socket = new WebSocket('ws://' + location.host + '/chat');
    socket.onopen = () => { state.textContent = 'connected: open this page twice'; };
    socket.onclose = ({ code }) => {
      state.textContent = 'closed (' + code + '): the next message connects again';
    };
    socket.onmessage = ({ data }) => {
      const item = document.createElement('li');
      item.textContent = data;
      said.prepend(item);
    };
  }
  form.onsubmit = (event) => {
    event.preventDefault();
    const message = text.value;
    form.reset();
    if (socket.readyState === WebSocket.OPEN) return socket.send(message);
    connect();
    socket.addEventListener('open', () => socket.send(message));
  };
</script>`;
