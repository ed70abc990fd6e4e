// Requests to the node that this page came from.

const kTimeoutMs = 20000;

// What the node said instead of an answer. `status` 0: it could not be reached.
export class ApiError extends Error {
  constructor(status, message, body = {}) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

const watchers = new Set();

// `tell` is called with the status of every answer, 0 where there was none.
export function watchAnswers(tell) {
  watchers.add(tell);
  return () => watchers.delete(tell);
}

async function parsed(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return {message: text.slice(0, 300)};
  }
}

export async function ask(method, path, body, signal) {
  const limit = AbortSignal.timeout(kTimeoutMs);
  const request = {
    method, credentials: 'same-origin', cache: 'no-store',
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
    // A node asks no browser for a password where a script calls.
    headers: {'Accept': 'application/json', 'X-Requested-With': 'dashboard', ...(body && {'Content-Type': 'application/json'})},
    body: body && JSON.stringify(body),
  };
  let response;
  let answer;
  try {
    response = await fetch(path, request);
    answer = await parsed(response);
  } catch (error) {
    if (signal?.aborted) throw error;
    watchers.forEach((tell) => tell(0));
    throw new ApiError(0, error.message);
  }
  watchers.forEach((tell) => tell(response.status));
  if (!response.ok) throw new ApiError(response.status, answer.message ?? '', answer);
  return answer;
}

// Members that are undefined, null or '' are left out.
export function withQuery(path, query = {}) {
  const given = Object.entries(query).filter(([, v]) => v !== undefined && v !== null && v !== '');
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

export const get = (path, query, signal) => ask('GET', withQuery(path, query), undefined, signal);
export const post = (path, body = {}) => ask('POST', path, body);
export const put = (path, body) => ask('PUT', path, body);
export const remove = (path) => ask('DELETE', path);

// A copy of an image that is about so wide.
export const thumbnail = (url, width) => (url ? withQuery(url, {width}) : null);
