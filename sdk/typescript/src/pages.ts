/** Lists, page by page, as one iterator. */

export interface Page<Item> {
  items: Item[];
  next_cursor?: string | null;
}

/** Every item of a list; `page` asks for the page at a cursor, each when it is needed. */
export async function* items<Item>(
  page: (cursor: string | undefined) => Promise<{ data?: Page<Item> }>,
): AsyncGenerator<Item, void, undefined> {
  let cursor: string | undefined;
  do {
    const { data } = await page(cursor);
    if (data === undefined) throw new TypeError("a page without a body");
    yield* data.items;
    cursor = data.next_cursor ?? undefined;
  } while (cursor !== undefined);
}
