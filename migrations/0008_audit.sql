-- What a write asks for, where that is no secret: model, SKU and capacity. From here on a write whose operation was followed has a third row,
-- of phase `ended`, with what came of it. Rows of before have neither.
ALTER TABLE audit ADD COLUMN asked TEXT;
