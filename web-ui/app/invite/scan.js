// "Scan": the camera, a pasted link or a picture become an invite's preview.
//
// Frames go to the node as graymaps, one at a time; the picture never leaves
// this computer. The camera stops as soon as a code was read or the tab is left.
import { html, useEffect, useRef, useState } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { ProblemNote } from '../ui/parts.js';
import { useAction } from '../ui/hooks.js';
import { Problem } from '../net/problem.js';
import { PICTURES, decodePicture, decodeText } from './actions.js';
import { toGraymap } from './frame.js';

const WIDTH = 640;
const HEIGHT = 480;
const EVERY_MS = 300;

/** Draws a frame, lets the node look, repeats until there is a code. */
function readFrames(video, read, onCode, onProblem) {
  const canvas = document.createElement('canvas');
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  const stop = new AbortController();
  let timer = null;
  const look = async () => {
    const started = performance.now();
    if (video.readyState >= video.HAVE_CURRENT_DATA) {
      pen.drawImage(video, 0, 0, WIDTH, HEIGHT);
      const { data } = pen.getImageData(0, 0, WIDTH, HEIGHT);
      try {
        const preview = await read(toGraymap(data, WIDTH, HEIGHT), 'image/x-portable-graymap', stop.signal);
        if (!stop.signal.aborted) onCode(preview);
        return;
      } catch (refusal) {
        if (stop.signal.aborted) return;
        if (refusal.code !== 'no_code_found') {
          onProblem(refusal);
          return;
        }
      }
    }
    if (!stop.signal.aborted) timer = setTimeout(look, Math.max(0, EVERY_MS - (performance.now() - started)));
  };
  look();
  return () => {
    stop.abort();
    clearTimeout(timer);
  };
}

const REFUSED = { NotAllowedError: 'scan/camera_denied', NotFoundError: 'scan/camera_none', NotReadableError: 'scan/camera_busy' };

/** The viewfinder. `read` shows a frame to the node, which knows what it looks for: an invite unless said otherwise. */
export function Camera({ onCode, read = decodePicture }) {
  const video = useRef(null);
  const [state, setState] = useState('asking');
  const [problem, setProblem] = useState(null);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    let stream = null;
    let stopReading = () => {};
    let left = false;
    const begin = async () => {
      setState('asking');
      setProblem(null);
      try {
        if (!navigator.mediaDevices?.getUserMedia) throw new DOMException('', 'NotFoundError');
        stream = await navigator.mediaDevices.getUserMedia({ video: { width: WIDTH, height: HEIGHT, facingMode: 'environment' }, audio: false });
      } catch (refusal) {
        if (!left) setState(REFUSED[refusal.name] ?? 'scan/camera_none');
        return;
      }
      if (left) {
        stream.getTracks().forEach((track) => track.stop());
        return;
      }
      video.current.srcObject = stream;
      await video.current.play().catch(() => {});
      setState('on');
      stopReading = readFrames(video.current, read, onCode, setProblem);
    };
    begin();
    return () => {
      left = true;
      stopReading();
      stream?.getTracks().forEach((track) => track.stop());
    };
  }, [attempt]);
  const words = state === 'on' ? t('scan/hold') : state === 'asking' ? t('scan/camera_asking') : t(state);
  return html`<div class="code">
    <div class="scan">
      <video ref=${video} class=${state === 'on' ? 'on' : ''} muted playsinline aria-label=${t('scan/viewfinder')}></video>
      <svg class="corners" viewBox="0 0 100 100" aria-hidden="true"><path d="M2 18V9a7 7 0 0 1 7-7h9M82 2h9a7 7 0 0 1 7 7v9M98 82v9a7 7 0 0 1-7 7h-9M18 98H9a7 7 0 0 1-7-7v-9" /></svg>
      <p role="status">${words}</p>
      ${state.startsWith('scan/') && html`<button type="button" class="btn sm scan-again" onClick=${() => setAttempt(attempt + 1)}>${t('scan/camera_again')}</button>`}
    </div>
    <p class="qr-cap"><${Icon} name="lock" small /><span>${t('scan/stays')}</span></p>
    <${ProblemNote} problem=${problem} onRetry=${() => setAttempt(attempt + 1)} />
  </div>`;
}

/** Paste a link, choose or drop a picture. */
export function OtherWays({ onCode }) {
  const [text, setText] = useState('');
  const [over, setOver] = useState(false);
  const picker = useRef(null);
  const read = useAction(async (job) => onCode(await job()));
  const fromText = (event) => {
    event.preventDefault();
    if (text.trim()) read.run(() => decodeText(text.trim()));
  };
  const fromFile = (file) => {
    if (!file) return;
    read.run(async () => {
      if (!PICTURES.includes(file.type)) throw new Problem({ status: 415, code: 'unsupported_picture', detail: t('scan/not_a_picture') });
      return decodePicture(file, file.type);
    });
  };
  useEffect(() => {
    // A picture may be pasted anywhere on the page, or dropped on it.
    const onPaste = (event) => {
      const file = [...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith('image/'));
      if (!file) return;
      event.preventDefault();
      fromFile(file);
    };
    const onDrag = (event) => {
      if (!event.dataTransfer?.types.includes('Files')) return;
      event.preventDefault();
      setOver(event.type === 'dragover');
      if (event.type === 'drop') fromFile(event.dataTransfer.files[0]);
    };
    document.addEventListener('paste', onPaste);
    for (const type of ['dragover', 'dragleave', 'drop']) document.addEventListener(type, onDrag);
    return () => {
      document.removeEventListener('paste', onPaste);
      for (const type of ['dragover', 'dragleave', 'drop']) document.removeEventListener(type, onDrag);
    };
  }, []);
  return html`<form class=${over ? 'other-ways over' : 'other-ways'} onSubmit=${fromText}>
    <label class="field"><span>${t('scan/paste_label')}</span>
      <input class="input small-input mono" autocomplete="off" spellcheck="false" placeholder="KITH:I1/…" value=${text} onInput=${(event) => setText(event.target.value)} /></label>
    <div class="row-btns">
      <button class="btn" disabled=${read.busy || !text.trim()}><${Icon} name="link" small />${t('scan/use_link')}</button>
      <button type="button" class="btn" disabled=${read.busy} onClick=${() => picker.current.click()}><${Icon} name="image" small />${t('scan/choose_picture')}</button>
      <input ref=${picker} class="vh" type="file" tabIndex="-1" aria-hidden="true" accept=${PICTURES.join(',')} onChange=${(event) => {
        fromFile(event.target.files[0]);
        event.target.value = '';
      }} />
    </div>
    <p class="small mute">${over ? t('scan/drop_now') : t('scan/drop_hint')}</p>
    <${ProblemNote} problem=${read.problem} />
  </form>`;
}
