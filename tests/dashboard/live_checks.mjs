// Live events: they come, they are missed, they are caught up with.
import assert from 'node:assert/strict';

import {asUser, detect, hasLive, kDesktop, logIn, order, settled, shot, trial, withPage} from './browser.mjs';

const kOffline = [/ERR_|WebSocket|socket\.io/];
const tile = (page, plate) => page.locator('.tile', {hasText: plate});

export async function aDetectionComesOntoTheWallByItself() {
  await asUser('vera', '#/live', async (page) => {
    await hasLive(page);
    await settled(page);
    await detect('7ลล 1', {picture: 2});
    await tile(page, '7ลล 1').waitFor();
    await page.waitForFunction(() => [...document.querySelectorAll('.tile')].find((t) => t.textContent.includes('7ลล 1'))?.querySelector('img')?.naturalWidth > 0);
    await tile(page, '7ลล 1').getByText('93%').waitFor();  // No event tells it: it was fetched.
    assert.equal(await page.locator('.tile').first().getAttribute('data-id'), await tile(page, '7ลล 1').getAttribute('data-id'));
  });
}

export async function aWallThatStandsStillKeepsWhatComes() {
  await asUser('vera', '#/live', async (page) => {
    await hasLive(page);
    await settled(page);
    await page.getByRole('button', {name: 'Pause'}).click();
    await detect('7ลล 2');
    await page.getByRole('button', {name: '1 new'}).waitFor();
    assert.equal(await tile(page, '7ลล 2').count(), 0);
    await page.getByRole('button', {name: 'Go on'}).click();
    await tile(page, '7ลล 2').waitFor();
  });
}

export async function aLostConnectionIsSaidAndWhatWasMissedIsFetched() {
  await asUser('vera', '#/live', async (page) => {
    await hasLive(page);
    await settled(page);
    await order('cut');
    await page.getByRole('alert').getByText('The connection to the node is lost.').waitFor();
    await shot(page, 'lost');
    for (const plate of ['7ลล 31', '7ลล 32', '7ลล 33']) await detect(plate);
    await order('heal');
    await page.getByText('3 detections that were missed have been fetched.').waitFor();
    await tile(page, '7ลล 33').waitFor();
    assert.equal(await page.locator('.lost').count(), 0);
    await hasLive(page);
    await detect('7ลล 34');
    await tile(page, '7ลล 34').waitFor();
  }, {}, kOffline);
}

export async function aNodeThatRestartsIsFoundAgain() {
  await withPage(kDesktop, async (page) => {
    await logIn(page, 'vera');
    await hasLive(page);
    await order('restart');
    await logIn(page, 'vera');  // Sessions of people end with the node.
    await hasLive(page);
    await detect('7ลล 5');
    await tile(page, '7ลล 5').waitFor();
  }, [...kOffline, /status of (401|503)/]);  // It stops, and then does not know the session.
}

export async function aPortWithoutLiveEventsIsAskedNowAndThen() {
  await withPage(kDesktop, async (page) => {
    await logIn(page, 'vera', '#/live', trial.plain);
    await page.locator('.connection-polling').waitFor();
    await settled(page);
    await detect('7ลล 4');
    await tile(page, '7ลล 4').waitFor();
  }, [/socket\.io|WebSocket/]);
}
