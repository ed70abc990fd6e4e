// A detection as the node shows it, and what the views want of it.

// What the event new_detection says, in the form of a record whose details are still to come.
export function fromEvent(body) {
  return {
    detection_id: body.detection_id, camera_id: body.camera_id, checkpoint_id: body.checkpoint_id,
    timestamp: body.timestamp, vehicles_count: body.vehicles_count, plates_count: body.plates_count,
    ocr_results: body.ocr_results ?? [], plates: null,
  };
}

const asPlate = (result) => (typeof result === 'string' ? {text: result}
  : {text: result?.text ?? '', confidence: result?.confidence});

// The plates of a record, each {text, confidence, image}.
export function platesOf(record) {
  if (record.plates?.length) return record.plates;
  return (record.ocr_results ?? []).map(asPlate);
}

export const detectionLink = (record) => `#/detection/${encodeURIComponent(record.detection_id)}`;
export const cameraLink = (id) => `#/camera/${encodeURIComponent(id)}`;

// In the words of the list of cameras: what is shown for a camera's id.
export const cameraName = (camera) => camera.camera_name || camera.camera_id;

// All cameras, by as many pages as there are.
const kPage = 1000;
const kMostCameras = 5000;
export async function allCameras(ask) {
  const cameras = [];
  let cursor = null;
  do {
    const page = await ask('/api/cameras', {limit: kPage, cursor});
    cameras.push(...page.cameras);
    cursor = page.next_cursor;
  } while (cursor && cameras.length < kMostCameras);
  return cameras;
}
