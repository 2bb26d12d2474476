"""Texts that the token estimate was not fitted to, each a page of what prompts really hold."""

ENGLISH = """The harbour master kept two ledgers, one for the ships and one for the weather. Every
morning before the first bell he walked down to the end of the stone pier, looked at the sky for as
long as it takes to smoke half a pipe, and wrote a single line. Nobody asked him to do it, and when
he retired in 1978 the second ledger went to his niece together with a box of unpaid invoices. She
found that her uncle had recorded wind, cloud and the colour of the water on more than eleven
thousand days. A research group in Bergen has now compared his notes with satellite data: in 83% of
the cases they could be matched, and where they differed, the old man was usually right. Could you
summarise this story in three sentences, explain what it says about measurement, and suggest how a
small museum might show the ledger to children who have never seen a handwritten page?
"""

GERMAN = """Die Werkstatt liegt im Hinterhof eines Hauses, das früher einmal eine Druckerei war.
Seit vierzig Jahren repariert Frau Brandstätter hier Uhren, und sie hat nicht vor, damit aufzuhören.
Große Standuhren stehen neben winzigen Damenuhren, dazwischen liegen Zahnräder, Federn und vergilbte
Rechnungen. „Wer eine Uhr öffnet“, sagt sie, „muss wissen, in welcher Reihenfolge er sie wieder
schließt.“ Für ihre Kundschaft führt sie eine Kartei, in der jede Reparatur verzeichnet ist, mit
Datum, Fehlerbeschreibung und den verwendeten Ersatzteilen. Bitte fasse den Text zusammen, erkläre
einem Lehrling die drei wichtigsten Grundsätze dieser Arbeit und schreibe anschließend einen kurzen,
freundlichen Brief an einen Kunden, dessen Taschenuhr leider nicht mehr zu retten ist.
"""

CHINESE = """\
这座小城的图书馆建在一条老运河旁边,原来是一座粮仓。十年前,当地居民决定保留厚厚的木梁和砖墙,
只在屋顶开了几扇天窗,让阳光照进阅览室。每到周末,孩子们坐在台阶上听故事,老人们在窗边下棋,学生则占满了
靠墙的长桌。馆长告诉我们,最受欢迎的并不是新书,而是一排手写的菜谱,它们记录了附近村庄几代人的口味。
请用三句话总结这段文字,说明公共空间为什么对社区重要,并为图书馆写一份不超过两百字的活动计划,
内容包括时间、地点、所需的材料以及预算大约三千五百元。
"""

RUSSIAN = """\
Станция стояла на самом краю леса, и поезда останавливались здесь только два раза в день.
Начальник, человек пожилой и очень аккуратный, каждое утро подметал платформу и проверял часы, хотя
пассажиров почти никогда не было. Однажды весной он получил письмо: линию собирались закрыть. Он
прочитал письмо дважды, спрятал в ящик стола и пошёл поливать цветы. Объясните, пожалуйста, почему
герой поступил именно так, и предложите другое окончание рассказа.
"""

CODE = '''import heapq
from dataclasses import dataclass, field


@dataclass(order=True)
class Job:
    """A unit of work; the lower the priority value, the sooner it runs."""

    priority: int
    name: str = field(compare=False)
    retries: int = field(default=0, compare=False)


class Scheduler:
    def __init__(self, max_retries: int = 3) -> None:
        self._heap: list[Job] = []
        self._max_retries = max_retries

    def push(self, job: Job) -> None:
        heapq.heappush(self._heap, job)

    def run(self, worker) -> dict[str, int]:
        results = {}
        while self._heap:
            job = heapq.heappop(self._heap)
            try:
                results[job.name] = worker(job)
            except TimeoutError as error:
                if job.retries >= self._max_retries:
                    raise RuntimeError(f"{job.name} gave up after {job.retries}") from error
                self.push(Job(job.priority + 1, job.name, job.retries + 1))
        return results
'''

JSON = """{"order": {"id": "ord_84a1c", "created_at": "2026-03-14T09:26:53.589Z", "currency": "EUR",
"customer": {"name": "Marta Oliveira", "email": "marta@example.org", "vip": false, "score": 87.25},
"lines": [{"sku": "TB-1042-XL", "title": "Travel bag", "quantity": 2, "unit_price": 49.90,
"tags": ["luggage", "sale"]}, {"sku": "MG-0077", "title": "Mug, blue", "quantity": 6,
"unit_price": 7.5, "tags": []}], "shipping": {"method": "express", "tracking": null,
"address": {"street": "Rua das Flores 12", "postal_code": "4050-262", "city": "Porto"}},
"totals": {"net": 144.80, "vat": 33.30, "gross": 178.10}, "notes": "Ring twice, please."}}
"""
