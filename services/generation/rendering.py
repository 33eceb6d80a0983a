"""The prompt for a piece of material, and what the model would have had to be asked and to answer for a finished piece. Pure."""

from collections.abc import Sequence

from services.generation import assembly, context, neutral
from services.generation.llm import messages
from services.generation.prompts import Prompt, Templates
from shared.contracts.generation import Lesson, LessonPiece, Material
from shared.contracts.profiles import Fact

_DESCRIPTION = 160


def render(prompt: Prompt, material: Material, facts: Sequence[Fact], violation: str) -> str:
    """The prompt's text; `violation` is what the last answer was refused for, "" for none."""
    return prompt.render(
        brand_name=neutral.named(material.brand.name, 60, "our shop"),
        voice=neutral.passage(material.brand.voice, 200),
        avoid=list(filter(None, (neutral.passage(word, 30) for word in material.brand.words_to_avoid[:10]))),
        product=assembly.product_of(material.offer),
        category=neutral.named(material.offer.category, 60, ""),
        description=context.described(material.offer, _DESCRIPTION),
        facts=[neutral.one_line(fact.text, 90) for fact in facts],
        violation=violation,
    )


def lesson(prompt: Prompt, templates: Templates, piece: LessonPiece) -> Lesson:
    """A finished piece as an example: the question as about nobody, and the answer that becomes exactly this piece."""
    material = piece.material
    no_lesson = material.profile.facts or assembly.unfit(
        material.offer
    )  # facts: it may speak of the reader who has them
    draft = None if no_lesson else assembly.draft_of(piece.sections, material, piece.channel, templates)
    return Lesson(
        messages=messages(render(prompt, material, [], "")), answer=assembly.answered(draft) if draft else None
    )
