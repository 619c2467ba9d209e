const worker = new Worker(new URL('./web-worker-thread.mjs', import.meta.url).href);
console.log(
  await new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
  }),
);
await worker.terminate();
