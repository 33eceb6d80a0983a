-- Inputs of every campaign send, from what was known when the campaign started: nothing dated at or after `began` is read.
-- Money is counted in cents: sums of floating numbers would differ with the order in which threads come to them.
-- Rates are a month of the window (or of the time the household is known, if shorter), on a log scale.
CREATE TEMP TABLE lines AS
SELECT t.household_id AS who, t.basket_id AS basket, t.product_id AS product, t.sales_value::DECIMAL(12, 2) AS spend,
       t.retail_disc::DECIMAL(12, 2) AS shelf, t.coupon_disc::DECIMAL(12, 2) AS coupon, t.coupon_match_disc::DECIMAL(12, 2) AS matched,
       t.transaction_timestamp AS bought_at, p.brand = 'Private' AS private,
       p.product_category AS category, p.product_type AS kind, p.department AS department
FROM read_parquet('{transactions}') t LEFT JOIN read_parquet('{products}') p USING (product_id);

CREATE TEMP TABLE sends AS
SELECT c.campaign_id AS campaign, c.household_id AS who, d.campaign_type AS type, d.start_date AS began, d.end_date AS ended,
       count(*) OVER (PARTITION BY c.campaign_id) AS sent_to,
       EXISTS (SELECT 1 FROM read_parquet('{coupon_redemptions}') r WHERE r.campaign_id = c.campaign_id AND r.household_id = c.household_id) AS redeemed
FROM read_parquet('{campaigns}') c JOIN read_parquet('{campaign_descriptions}') d USING (campaign_id);

CREATE TEMP TABLE moments AS SELECT DISTINCT who, began FROM sends;
CREATE TEMP TABLE offered AS SELECT DISTINCT campaign_id AS campaign, coupon_upc AS coupon_id, product_id AS product FROM read_parquet('{coupons}');
CREATE TEMP TABLE offered_kinds AS
SELECT DISTINCT o.campaign, p.product_type AS kind FROM offered o JOIN read_parquet('{products}') p ON p.product_id = o.product
WHERE p.product_type IS NOT NULL;

CREATE TEMP TABLE habits AS
SELECT m.who, m.began, max(bought_at) AS newest, date_diff('day', max(bought_at), m.began) AS days_since, date_diff('day', min(bought_at), m.began) AS known_days,
       date_diff('day', max(bought_at) FILTER (WHERE coupon > 0), m.began) AS days_since_coupon,
       avg(hour(bought_at)) AS hour, {habit_columns}
FROM moments m JOIN lines l ON l.who = m.who AND l.bought_at < m.began GROUP BY m.who, m.began;

CREATE TEMP TABLE overlap AS
SELECT s.campaign, s.who, date_diff('day', max(bought_at), s.began) AS days_since_offered, {overlap_columns}
FROM sends s JOIN lines l ON l.who = s.who AND l.bought_at < s.began JOIN (SELECT DISTINCT campaign, product FROM offered) o
  ON o.campaign = s.campaign AND o.product = l.product GROUP BY s.campaign, s.who, s.began;

CREATE TEMP TABLE kinds AS
SELECT s.campaign, s.who, {kind_columns}
FROM sends s JOIN lines l ON l.who = s.who AND l.bought_at < s.began JOIN offered_kinds o ON o.campaign = s.campaign AND o.kind = l.kind
GROUP BY s.campaign, s.who, s.began;

CREATE TEMP TABLE fits AS
SELECT campaign, who, count(*) AS coupons_fitting, count(*) FILTER (WHERE bought >= 2) AS coupons_fitting_twice,
       count(*) FILTER (WHERE with_coupon > 0) AS coupons_used_on, sum(bought) FILTER (WHERE place <= 16) AS best_sixteen,
       sum(with_coupon) AS lines_with_coupon
FROM (SELECT *, row_number() OVER (PARTITION BY campaign, who ORDER BY bought DESC, coupon_id) AS place FROM (
  SELECT s.campaign, s.who, o.coupon_id, count(*) AS bought, count(*) FILTER (WHERE l.coupon > 0) AS with_coupon
  FROM sends s JOIN lines l ON l.who = s.who AND l.bought_at < s.began AND l.bought_at >= s.began - INTERVAL 180 DAY
  JOIN offered o ON o.campaign = s.campaign AND o.product = l.product GROUP BY s.campaign, s.who, o.coupon_id) g) ranked
GROUP BY campaign, who;

CREATE TEMP TABLE past AS
SELECT s.campaign, s.who, max(r.redemption_date) AS newest, count(r.campaign_id) AS redemptions, count(DISTINCT r.campaign_id) AS campaigns_redeemed,
       count(r.campaign_id) FILTER (WHERE r.redemption_date >= s.began - INTERVAL 60 DAY) AS redemptions_60,
       count(DISTINCT r.campaign_id) FILTER (WHERE d.campaign_type = s.type) AS campaigns_redeemed_of_type
FROM sends s LEFT JOIN read_parquet('{coupon_redemptions}') r ON r.household_id = s.who AND r.redemption_date < s.began
LEFT JOIN read_parquet('{campaign_descriptions}') d ON d.campaign_id = r.campaign_id GROUP BY s.campaign, s.who;

CREATE TEMP TABLE received AS
SELECT s.campaign, s.who, count(o.campaign) AS received, count(o.campaign) FILTER (WHERE o.type = s.type) AS received_of_type,
       count(o.campaign) FILTER (WHERE o.ended >= s.began) AS running, date_diff('day', max(o.began), s.began) AS days_since_campaign
FROM sends s LEFT JOIN sends o ON o.who = s.who AND o.began < s.began GROUP BY s.campaign, s.who, s.began;

CREATE TEMP TABLE sizes AS
SELECT campaign, count(DISTINCT coupon_id) AS coupons, count(DISTINCT product) AS products FROM offered GROUP BY campaign;

SELECT s.campaign, s.who, s.type, s.sent_to, epoch(s.began) AS began, epoch(s.ended) AS ended, s.redeemed, epoch(h.newest) AS newest_line,
       epoch(p.newest) AS newest_redemption, date_diff('day', s.began, s.ended) AS runs_days, h.* EXCLUDE (who, began, newest),
       o.* EXCLUDE (campaign, who), k.* EXCLUDE (campaign, who), f.* EXCLUDE (campaign, who), p.* EXCLUDE (campaign, who, newest),
       r.* EXCLUDE (campaign, who), z.coupons, z.products, g.income, g.age, g.household_size, g.kids_count, g.home_ownership, g.marital_status
FROM sends s LEFT JOIN habits h USING (who, began) LEFT JOIN overlap o USING (campaign, who) LEFT JOIN kinds k USING (campaign, who)
LEFT JOIN fits f USING (campaign, who) LEFT JOIN past p USING (campaign, who) LEFT JOIN received r USING (campaign, who)
LEFT JOIN sizes z USING (campaign) LEFT JOIN read_parquet('{demographics}') g ON g.household_id = s.who
ORDER BY s.began, s.campaign, s.who
