"""The accents that a voice can have: the service's ids, each with its locale."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ACCENTS", "Accent"]


class Accent(NamedTuple):
    """One accent of the catalogue."""

    name: str
    locale: str
    is_locale_default: bool = False
    is_localizable: bool = False  # whether a voice can be localized to it

    @property
    def language(self) -> str:
        """The language: the first part of the locale."""
        return self.locale.partition("-")[0]


# A selection, sorted by id as the service lists them.
ACCENTS = {
    "australian": Accent("Australian English", "en-AU", True),
    "belgian-french": Accent("Belgian French", "fr-BE", True),
    "brazilian-portuguese": Accent("Brazilian Portuguese", "pt-BR", True, True),
    "british": Accent("British English", "en-GB", True, True),
    "budapest": Accent("Budapest Hungarian", "hu-HU", True),
    "bulgarian": Accent("Bulgarian", "bg-BG", True),
    "california": Accent("Californian English", "en-US"),
    "canadian-english": Accent("Canadian English", "en-CA", True),
    "canadian-french": Accent("Canadian French", "fr-CA", True, True),
    "castilian": Accent("Castilian Spanish", "es-ES", True, True),
    "central-tamil": Accent("Central Tamil", "ta-IN", True, True),
    "central-thai": Accent("Central Thai", "th-TH", True, True),
    "chilean": Accent("Chilean Spanish", "es-CL", True),
    "colombian": Accent("Colombian Spanish", "es-CO", True),
    "czech": Accent("Czech", "cs-CZ", True),
    "danish": Accent("Danish", "da-DK", True),
    "european-portuguese": Accent("European Portuguese", "pt-PT", True),
    "finnish": Accent("Finnish", "fi-FI", True),
    "general-american": Accent("General American English", "en-US", True, True),
    "high-german": Accent("High German", "de-DE", True, True),
    "hindi": Accent("Hindi", "hi-IN", True, True),
    "indian-english": Accent("Indian English", "en-IN", True),
    "irish": Accent("Irish English", "en-IE", True),
    "israeli": Accent("Israeli Hebrew", "he-IL", True, True),
    "istanbul": Accent("Istanbul Turkish", "tr-TR", True, True),
    "italian": Accent("Italian", "it-IT", True, True),
    "jakarta": Accent("Jakarta Indonesian", "id-ID", True),
    "korean": Accent("Korean", "ko-KR", True, True),
    "kyiv": Accent("Kyiv Ukrainian", "uk-UA", True),
    "malay": Accent("Malay", "ms-MY", True),
    "mandarin": Accent("Mandarin Chinese", "zh-CN", True, True),
    "manila": Accent("Manila Tagalog", "tl-PH", True),
    "mexican": Accent("Mexican Spanish", "es-MX", True, True),
    "modern-standard-arabic": Accent("Modern Standard Arabic", "ar-SA", True, True),
    "new-york": Accent("New York English", "en-US"),
    "new-zealand": Accent("New Zealand English", "en-NZ", True),
    "oslo": Accent("Oslo Norwegian", "no-NO", True),
    "parisian": Accent("Parisian French", "fr-FR", True, True),
    "peruvian": Accent("Peruvian Spanish", "es-PE", True),
    "polish": Accent("Polish", "pl-PL", True, True),
    "randstad": Accent("Randstad Dutch", "nl-NL", True, True),
    "romanian": Accent("Romanian", "ro-RO", True),
    "russian": Accent("Russian", "ru-RU", True, True),
    "slovak": Accent("Slovak", "sk-SK", True),
    "south-african": Accent("South African English", "en-ZA", True),
    "southern-us": Accent("Southern US English", "en-US", False, True),
    "standard-japanese": Accent("Standard Japanese", "ja-JP", True, True),
    "stockholm": Accent("Stockholm Swedish", "sv-SE", True, True),
    "swiss-standard": Accent("Swiss Standard German", "de-CH", True),
    "taiwanese-mandarin": Accent("Taiwanese Mandarin", "zh-TW", True),
    "tbilisi": Accent("Tbilisi Georgian", "ka-GE", True),
    "telangana": Accent("Telangana Telugu", "te-IN", True, True),
    "thessaloniki": Accent("Thessaloniki Greek", "el-GR", True),
    "zagreb": Accent("Zagreb Croatian", "hr-HR", True),
}
