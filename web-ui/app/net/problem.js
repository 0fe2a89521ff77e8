// What went wrong, in the shape of RFC 9457. Pure.

/** A refusal from the node, or the failure to reach it (`status` 0). */
export class Problem extends Error {
  constructor({ status = 0, code = 'unreachable', title = '', detail = '', requestId = null, retryAfter = null }) {
    super(detail || title || code);
    this.name = 'Problem';
    this.status = status;
    this.code = code;
    this.title = title;
    this.detail = detail;
    this.requestId = requestId;
    this.retryAfter = retryAfter;
  }

  /** The node didn't answer at all: nothing was refused, so trying again is right. */
  get unreachable() {
    return this.status === 0;
  }
}

/** A problem from a reply that wasn't a success. Copes with bodies that aren't problem+json. */
export async function problemOf(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // An empty or foreign body: the status has to do.
  }
  return new Problem({
    status: response.status,
    code: typeof body.code === 'string' ? body.code : `http_${response.status}`,
    title: typeof body.title === 'string' ? body.title : '',
    detail: typeof body.detail === 'string' ? body.detail : '',
    requestId: body.request_id ?? null,
    retryAfter: Number(response.headers.get('retry-after')) || null,
  });
}
