// Sends a file by tus-js-client, as an app does: node upload.cjs ENDPOINT TOKEN FILE OPTIONS
// OPTIONS (JSON): chunk, metadata, url (go on there), store (a file in which it notes its uploads), pauseAt (bytes),
// parallel. Prints a line of JSON for every chunk, and a last one with `done`.
const fs = require("node:fs");
const tus = require("tus-js-client");

const [endpoint, token, file, text] = process.argv.slice(2);
const options = JSON.parse(text);
const tell = (what) => process.stdout.write(JSON.stringify(what) + "\n");

const upload = new tus.Upload(fs.createReadStream(file), {
  endpoint,
  uploadUrl: options.url ?? null,
  chunkSize: options.chunk ?? Infinity,
  metadata: options.metadata ?? {},
  headers: { Authorization: `Bearer ${token}` },
  uploadSize: fs.statSync(file).size,
  uploadDataDuringCreation: options.during ?? false,
  retryDelays: Array(100).fill(100),
  urlStorage: options.store ? new tus.FileUrlStorage(options.store) : null,
  storeFingerprintForResuming: Boolean(options.store),
  onChunkComplete(_size, accepted) {
    tell({ accepted, url: upload.url });
    if (options.pauseAt && accepted >= options.pauseAt) {
      upload.abort().then(() => {
        tell({ paused: accepted, url: upload.url });
        process.exit(0);
      });
    }
  },
  onSuccess(told) {
    const photo = told.lastResponse.getHeader("Tagline-Photo");
    const duplicate = told.lastResponse.getHeader("Tagline-Duplicate");
    tell({ done: true, url: upload.url, photo, duplicate });
  },
  onError(error) {
    tell({ error: error.message, status: error.originalResponse?.getStatus() });
    process.exit(1);
  },
  onShouldRetry: (error) => (error.originalResponse?.getStatus() ?? 503) >= 500,
});

(async () => {
  if (options.store) {
    const before = await upload.findPreviousUploads();
    if (before.length) upload.resumeFromPreviousUpload(before[0]);
  }
  upload.start();
})();
