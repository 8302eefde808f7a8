"""What ad networks, affiliate networks and mail tools append to links: click ids, and parameters that name the network.

One list for both ends. A link passes these parameters on to its destination (collector/policy/links.py); the enricher
reads source, medium and click id from them (enricher/rules/campaign.py). Names are in lower case; the case of a name in
a URL does not matter. To add a parameter, add a line with its origin.

The order is the precedence: ads, then what networks add to every link, then mail tools and the rest. The first row that
has a value gives source and medium where UTM gives none; the first that identifies a click gives the click id.
"""

from typing import Final, NamedTuple


class Network(NamedTuple):
    """One parameter."""

    name: str
    source: str
    """Empty: the parameter's value names the source, if `identifies` is false; else the source is unknown."""
    medium: str
    origin: str
    """Who appends it."""
    identifies: bool = True
    """The value is the id of one click; False: it names the network or the campaign only."""


NETWORKS: Final = (
    Network("gclid", "google", "cpc", "Google Ads"),
    Network("gbraid", "google", "cpc", "Google Ads, iOS apps to web"),
    Network("wbraid", "google", "cpc", "Google Ads, iOS web"),
    Network("msclkid", "bing", "cpc", "Microsoft Advertising"),
    Network("ttclid", "tiktok", "cpc", "TikTok Ads"),
    Network("twclid", "x", "cpc", "X Ads"),
    Network("li_fat_id", "linkedin", "cpc", "LinkedIn Ads"),
    Network("rdt_cid", "reddit", "cpc", "Reddit Ads"),
    Network("sccid", "snapchat", "cpc", "Snapchat Ads (ScCid)"),
    Network("qclid", "quora", "cpc", "Quora Ads"),
    Network("ndclid", "nextdoor", "cpc", "Nextdoor Ads"),
    Network("spclid", "spotify", "cpc", "Spotify Ads"),
    Network("yclid", "yandex", "cpc", "Yandex Direct (Yahoo Japan uses the name too)"),
    Network("ymclid", "yandex market", "cpc", "Yandex Market's links to shops, next to `frommarket` and `_openstat`"),
    Network("rb_clickid", "vk", "cpc", "VK Ads, myTarget"),
    Network("vkclid", "vk", "cpc", "VK Ads"),
    Network("sznclid", "seznam", "cpc", "Sklik of Seznam"),
    Network("sznaiid", "seznam", "cpc", "Sklik of Seznam, for modelled conversions (docs.dataflysignal.com, Sklik)"),
    Network("bd_vid", "baidu", "cpc", "Baidu Ads"),
    Network("qhclickid", "360 search", "cpc", "360 Search Ads"),
    Network("gdt_vid", "tencent", "cpc", "Tencent Ads"),
    Network("ksclid", "kuaishou", "cpc", "Kuaishou Ads"),
    Network("napm", "naver", "cpc", "Naver Ads (NaPm)"),
    Network("n_click_id", "naver", "cpc", "Naver Ads"),
    Network("kclid", "kakaotalk", "cpc", "Kakao Moment"),
    Network("ldtag_cl", "line", "cpc", "LINE Ads"),
    Network("yjad", "yahoo", "cpc", "Yahoo Japan Ads"),
    Network("dclid", "google", "display", "Google Display & Video 360, Campaign Manager"),
    Network("dicbo", "outbrain", "cpc", "Outbrain"),
    Network("obclid", "outbrain", "cpc", "Outbrain"),
    Network("tblci", "taboola", "cpc", "Taboola"),
    Network("vmcid", "yahoo", "cpc", "Yahoo Native"),
    Network("s_kwcid", "", "cpc", "Adobe Advertising"),
    Network("ef_id", "", "cpc", "Adobe Advertising"),
    Network("cto_pld", "criteo", "cpc", "Criteo"),
    Network("rtbhc", "rtb house", "cpc", "RTB House"),
    Network("ttd_uuid", "the trade desk", "display", "The Trade Desk"),
    Network("aleid", "applovin", "cpc", "AppLovin"),
    Network("revcontent_click", "revcontent", "cpc", "Revcontent"),
    Network("mgclida", "mgid", "cpc", "MGID"),
    # The parameters of an ad that identify no click: after every click id of an ad.
    Network(
        "gad_source",
        "google",
        "cpc",
        "Google Ads, on each ad's link, with or without a click id: support.google.com/google-ads/answer/13327296",
        identifies=False,
    ),
    Network(
        "gad_campaignid",
        "google",
        "cpc",
        "Google Ads, the campaign: support.google.com/google-ads/answer/16193746",
        identifies=False,
    ),
    Network(
        "hsa_net",
        "",
        "cpc",
        "HubSpot's ad tracking, the network by name: adwords, facebook, linkedin",
        identifies=False,
    ),
    Network("zanpid", "zanox", "affiliate", "Awin (Zanox)"),
    Network("awc", "awin", "affiliate", "Awin"),
    Network("cjevent", "cj", "affiliate", "CJ Affiliate"),
    Network("irclickid", "impact", "affiliate", "Impact"),
    Network("irgwc", "impact", "affiliate", "Impact, a click through its gateway (1)", identifies=False),
    Network("im_ref", "impact", "affiliate", "Impact"),
    Network("ranmid", "rakuten advertising", "affiliate", "Rakuten Advertising"),
    Network("ransiteid", "rakuten advertising", "affiliate", "Rakuten Advertising"),
    Network("sscid", "shareasale", "affiliate", "ShareASale"),
    Network("clickref", "partnerize", "affiliate", "Partnerize"),
    Network("tduid", "tradedoubler", "affiliate", "Tradedoubler"),
    Network("admitad_uid", "admitad", "affiliate", "Admitad"),
    Network("afclick", "affise", "affiliate", "Affise"),
    Network("wgu", "webgains", "affiliate", "Webgains"),
    Network("pjid", "pepperjam", "affiliate", "Ascend (Pepperjam)"),
    Network("belboon", "belboon", "affiliate", "Belboon"),
    Network(
        "rfsn",
        "refersion",
        "affiliate",
        "Refersion, the affiliate's link (refersion.com, How To Create And Use Referral Links)",
    ),
    Network(
        "_ef_transaction_id", "everflow", "affiliate", "Everflow, its transaction (docs.dataflysignal.com, Everflow)"
    ),
    Network("affid", "", "affiliate", "in-house affiliate programmes"),
    Network("aff_id", "", "affiliate", "in-house affiliate programmes (HasOffers)"),
    Network("fbclid", "facebook", "social", "Meta; added to every outbound link, so no proof of an ad"),
    Network("epik", "pinterest", "social", "Pinterest; on organic clicks too"),
    Network("igshid", "instagram", "social", "Instagram, a shared link"),
    Network("igsh", "instagram", "social", "Instagram, a shared link"),
    Network("twsrc", "x", "social", "X, an embedded post"),
    Network("xmt", "threads", "social", "Threads"),
    Network("share_id", "tiktok", "social", "TikTok, a shared link"),
    Network("ysclid", "yandex", "organic", "Yandex, an organic result"),
    Network("srsltid", "google", "organic", "Google Merchant Center, a free listing"),
    Network("mc_eid", "mailchimp", "email", "Mailchimp, the recipient"),
    Network("mc_cid", "mailchimp", "email", "Mailchimp, the campaign"),
    Network("_kx", "klaviyo", "email", "Klaviyo"),
    Network("mkt_tok", "marketo", "email", "Marketo"),
    Network("_hsenc", "hubspot", "email", "HubSpot"),
    Network("_hsmi", "hubspot", "email", "HubSpot, the mail"),
    Network("vero_id", "vero", "email", "Vero"),
    Network("oly_enc_id", "omeda", "email", "Omeda"),
    Network("ml_subscriber_hash", "mailerlite", "email", "MailerLite"),
    Network("ck_subscriber_id", "kit", "email", "Kit (ConvertKit)"),
    Network("elqtrackid", "eloqua", "email", "Oracle Eloqua"),
    Network("sfmc_id", "salesforce", "email", "Salesforce Marketing Cloud"),
    Network("bsft_clkid", "blueshift", "email", "Blueshift"),
    Network("iterableemailcampaignid", "iterable", "email", "Iterable"),
    Network("_bhlid", "beehiiv", "email", "beehiiv"),
    Network("dm_i", "dotdigital", "email", "Dotdigital"),
    Network("trk_contact", "listrak", "email", "Listrak"),
    Network("sc_customer", "", "email", "Salesforce"),
    Network("_branch_match_id", "branch", "referral", "Branch deep links"),
    Network("_openstat", "openstat", "cpc", "Openstat"),
    Network("wickedid", "", "", "Wicked Reports"),
    Network("clickid", "", "", "a network that does not name itself"),
    Network("click_id", "", "", "a network that does not name itself"),
    Network("_pcl", "", "", "this collector's own links"),
)
"""In the order of precedence."""

OWN: Final = "_pcl"
"""The parameter that ties a click on one of our links to the page view that it leads to."""

PASSED_ON: Final = frozenset(network.name for network in NETWORKS if network.name != OWN) | {"gclsrc"}
"""Names, in lower case, that a link passes on. `gclsrc` (Google Ads: which kind of `gclid`) says nothing by itself."""

KNOWN: Final = PASSED_ON | {OWN}
"""All names that a link adds to its destination, in lower case."""
